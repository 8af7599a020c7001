package e2e_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/gobwas/ws"

	"github.com/confab-chat/confab/proto/code"
)

func writeText(w io.Writer, text string) {
	_ = ws.WriteFrame(w, ws.MaskFrame(ws.NewTextFrame([]byte(text)))) // a buffer, or a connection whose end the reader finds
}

func (contract) FrameIDs(sc *scene) {
	ann := sc.conn("ann")
	for _, id := range []uint64{0, 1, 7, 7, 1 << 31, 1<<53 - 1} {
		ann.raw(fmt.Sprintf(`{"data":{},"event":"heartbeat","id":%d,"new":[{}]}`, id))
		ann.id = id
		ann.want("re heartbeatResponse")
	}
	// Without an id nothing is answered but failures.
	ann.raw(`{"event":"heartbeat"}`)
	ann.raw(`{"event":"joinRoom","data":{"roomId":"no such name"}}`)
	ann.want("error " + failure(code.BadRequest, "joinRoom"))
	ann.raw(sc.expand(`{"event":"joinRoom","data":{"roomId":"#r"}}`))
	ann.want("roomUsers")
	ann.raw(sc.expand(`{"event":"sendMessage","data":{"roomId":"#r","content":"no reply"}}`))
	ann.want(received("ann", "#r", "no reply", 1))
	ann.raw(sc.expand(`{"event":"typing","data":{"roomId":"#elsewhere","isTyping":true}}`))
	ann.want("error " + failure(code.NotInRoom, "typing"))

	// An id that is none cannot be answered to.
	for _, id := range []string{"-1", "1.5", `"7"`, "9007199254740992"} {
		c := sc.conn("bob") // a few of them are abuse
		c.raw(`{"id":` + id + `,"event":"heartbeat"}`)
		c.want("error " + failure(code.BadRequest, ""))
		c.do("heartbeat")
		c.want("re heartbeatResponse")
	}
}

func (contract) UnknownEvents(sc *scene) {
	ann := sc.conn("ann")
	for _, event := range []string{"nothing", "JoinRoom", "receiveMessage", "error", "joinRoom ", "constructor", "😀", strings.Repeat("x", 5000)} {
		ann.id++
		ann.raw(fmt.Sprintf(`{"id":%d,"event":%q,"data":{"roomId":"r"}}`, ann.id, event))
		ann.want("re error " + failure(code.BadRequest, ""))
	}
	for _, text := range []string{`{"id":99}`, `{"id":99,"event":""}`, `{"id":99,"event":7}`, `{"id":99,"event":null}`} {
		c := sc.conn("ann")
		c.raw(text)
		c.id = 99
		if f := c.next(); c.differs("re error "+failure(code.BadRequest, ""), f) != nil && c.differs("error "+failure(code.BadRequest, ""), f) != nil {
			sc.Errorf("%s: %s", text, f)
		}
	}
}

func (contract) BrokenJSON(sc *scene) {
	for name, text := range map[string]string{
		"empty": "", "brace": "{", "list": "[]", "number": "7", "text": "hello", "two": `{"event":"heartbeat"}{"event":"heartbeat"}`,
		"byte order mark": "\ufeff" + `{"event":"heartbeat"}`, "infinity": `{"event":"heartbeat","data":{"a":1e400}}`,
		"quotes": `{'event':'heartbeat'}`, "comma": `{"event":"heartbeat",}`, "twice": `{"event":"heartbeat","event":"joinRoom"}`,
		// Readers of the first and of the last duplicate would differ.
		"twice inside": `{"event":"sendMessage","data":{"roomId":"r","content":"x","content":"y"}}`,
		"deep":         `{"event":"heartbeat","data":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`,
		"surrogate":    `{"event":"heartbeat","data":{"a":"\ud800"}}`, "comment": `{"event":"heartbeat"} // hi`, "NUL": "{\"event\":\"heartbeat\"\x00}",
	} {
		c := sc.conn("ann")
		c.raw(text)
		f := c.next()
		if err := c.differs("error "+failure(code.BadRequest, ""), f); err != nil && c.differs("error "+failure(code.BadRequest, "heartbeat"), f) != nil {
			sc.Errorf("%s: %v: %s", name, err, f)
		}
	}
	c := sc.conn("bob")
	for range 4 {
		c.raw("{")
		c.want("error " + failure(code.BadRequest, ""))
	}
	c.do("heartbeat")
	c.want("re heartbeatResponse")
	c.raw("{")
	f := c.next()
	if f.Event == "error" {
		f = c.next()
	}
	if f.Event != "close" || string(f.Data) != "4503" {
		sc.Errorf("the fifth: %s", f)
	}
}

// padded is a heartbeat of n bytes.
func padded(n int) string {
	const head, tail = `{"id":1,"event":"heartbeat","data":"`, `"}`
	return head + strings.Repeat("x", n-len(head)-len(tail)) + tail
}

func (contract) FrameSizes(sc *scene) {
	const limit = 64 << 10
	c := sc.conn("ann")
	c.id = 1
	c.raw(padded(limit))
	c.want("re heartbeatResponse")
	whole := padded(limit)
	c.write(ws.NewFrame(ws.OpText, false, []byte(whole[:1000])))
	c.write(ws.NewFrame(ws.OpContinuation, true, []byte(whole[1000:])))
	c.want("re heartbeatResponse")
	for name, send := range map[string]func(c *conn){
		"one frame":  func(c *conn) { c.raw(padded(limit + 1)) },
		"two frames": func(c *conn) { split(c, padded(limit+1)) },
		"a header alone": func(c *conn) {
			b := append([]byte{0x81, 0xff}, binary.BigEndian.AppendUint64(nil, 1<<62)...)
			c.bytes(append(b, 1, 2, 3, 4)...)
		},
	} {
		c := sc.conn("ann")
		send(c)
		if f := c.next(); f.Event != "close" || string(f.Data) != "1009" {
			sc.Errorf("%s: %s", name, f)
		}
	}
}

func split(c *conn, text string) {
	c.write(ws.NewFrame(ws.OpText, false, []byte(text[:len(text)/2])))
	c.write(ws.NewFrame(ws.OpContinuation, true, []byte(text[len(text)/2:])))
}

// bytes writes as they are, below frames.
func (c *conn) bytes(b ...byte) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	_, _ = c.nc.Write(b) // the reader finds the connection's end
}

func (contract) ProtocolFaults(sc *scene) {
	frameBytes := func(f ws.Frame) []byte {
		var b bytes.Buffer
		_ = ws.WriteFrame(&b, f) // into memory
		return b.Bytes()
	}
	masked := func(op ws.OpCode, fin bool, payload string) []byte {
		return frameBytes(ws.MaskFrame(ws.NewFrame(op, fin, []byte(payload))))
	}
	body := func(code ws.StatusCode, reason string) string {
		return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
	}
	for name, c := range map[string]struct {
		bytes []byte
		close string
	}{
		"unmasked":               {frameBytes(ws.NewTextFrame([]byte(`{"event":"heartbeat"}`))), "1002"},
		"reserved bit":           {[]byte{0xc1, 0x80, 0, 0, 0, 0}, "1002"},
		"reserved opcode":        {[]byte{0x83, 0x80, 0, 0, 0, 0}, "1002"},
		"long ping":              {masked(ws.OpPing, true, strings.Repeat("x", 126)), "1002"},
		"ping in pieces":         {masked(ws.OpPing, false, "x"), "1002"},
		"continuation alone":     {masked(ws.OpContinuation, true, "x"), "1002"},
		"text inside text":       {append(masked(ws.OpText, false, "x"), masked(ws.OpText, true, "y")...), "1002"},
		"length above 2^63":      {append([]byte{0x81, 0xff, 0xff}, make([]byte, 11)...), "1002"},
		"binary":                 {masked(ws.OpBinary, true, `{"event":"heartbeat"}`), "1003"},
		"not UTF-8":              {masked(ws.OpText, true, "{\"event\":\"\xff\"}"), "1007"},
		"65 fragments":           {append(masked(ws.OpText, false, ""), bytes.Repeat(masked(ws.OpContinuation, false, ""), 64)...), "1008"},
		"close 999":              {masked(ws.OpClose, true, body(999, "")), "1002"},
		"close 1005":             {masked(ws.OpClose, true, body(1005, "")), "1002"},
		"close with one byte":    {masked(ws.OpClose, true, "x"), "1002"},
		"close, reason no UTF-8": {masked(ws.OpClose, true, body(1000, "\xff")), "1007"},
		"many pings":             {bytes.Repeat(masked(ws.OpPing, true, ""), 30), "1008"},
	} {
		x := sc.conn("ann")
		x.bytes(c.bytes...)
		if f := x.next(); f.Event != "close" || string(f.Data) != c.close {
			sc.Errorf("%s: want close %s, got %s", name, c.close, f)
		}
	}
}
