package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/confab-chat/confab/shared/eventually"
)

// inbox is how many frames wait for the test before the reader stops reading.
const inbox = 1024

// frame is one frame of the server. The reader's own are "close" with a code, and
// "eof" when the connection ended without one.
type frame struct {
	ID    *uint64
	Event string
	Data  json.RawMessage
}

func (f frame) String() string {
	id := ""
	if f.ID != nil {
		id = fmt.Sprintf("id %d ", *f.ID)
	}
	return id + f.Event + " " + string(f.Data)
}

// get is a value inside the data, by its path ("message.seq").
func (f frame) get(path string) any {
	var v any
	if json.Unmarshal(f.Data, &v) != nil {
		return nil
	}
	for name := range strings.SplitSeq(path, ".") {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[name]
	}
	return v
}

func (f frame) text(path string) string { s, _ := f.get(path).(string); return s }
func (f frame) seq(path string) uint64  { n, _ := f.get(path).(float64); return uint64(n) }

// conn is one client connection. Its methods belong to the test's goroutine; a
// reader goroutine fills in.
type conn struct {
	t    testing.TB // static
	sc   *scene
	user string
	nc   net.Conn
	opts options
	in   chan frame    // closed by the reader, its only sender
	over chan struct{} // closed by drop
	once sync.Once

	writeMu sync.Mutex // the reader answers pings

	id   uint64   // of the last request
	only string   // unless empty: of the lobby, which tests share, take what contains this
	seen []string // frames taken, for messages

	listed map[string][]string // by room: users in the last roomUsers who have not left
}

// options select which frames the reader passes to the test.
type options struct {
	presence bool // userOnline, userOffline, presenceUpdate too
	pings    bool // the ping event too
	mute     bool // WebSocket pings are not answered
}

func (o options) hears(event string) bool {
	switch event {
	case "userOnline", "userOffline", "presenceUpdate":
		return o.presence
	case "ping":
		return o.pings
	}
	return true
}

func newConn(sc *scene, user string, nc net.Conn, r *bufio.Reader, o options) *conn {
	c := &conn{t: sc.T, sc: sc, user: user, nc: nc, opts: o, in: make(chan frame, inbox), over: make(chan struct{}), listed: make(map[string][]string)}
	var reading sync.WaitGroup
	reading.Go(func() { defer close(c.in); c.read(r) })
	sc.Cleanup(func() { c.drop(); reading.Wait() })
	return c
}

// read takes frames until the connection ends.
func (c *conn) read(r *bufio.Reader) {
	for {
		h, err := ws.ReadHeader(r)
		if err != nil {
			c.put(frame{Event: "eof"})
			return
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(r, payload); err != nil {
			c.put(frame{Event: "eof"})
			return
		}
		switch {
		case h.Masked || !h.Fin || h.Rsv != 0:
			c.put(frame{Event: "malformed"})
		case h.OpCode == ws.OpPing && !c.opts.mute:
			c.write(ws.NewPongFrame(payload))
		case h.OpCode == ws.OpClose:
			code, _ := ws.ParseCloseFrameData(payload)
			c.put(frame{Event: "close", Data: json.RawMessage(fmt.Sprint(uint16(code)))})
			c.write(ws.NewCloseFrame(ws.NewCloseFrameBody(code, "")))
			return
		case h.OpCode == ws.OpText:
			var f frame
			if err := json.Unmarshal(payload, &f); err != nil {
				f = frame{Event: "malformed"}
			}
			if c.opts.hears(f.Event) {
				c.put(f)
			}
		}
	}
}

func (c *conn) put(f frame) {
	select {
	case c.in <- f:
	case <-c.over:
	}
}

// write sends a frame; that the server has gone is found by the reader.
func (c *conn) write(f ws.Frame) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	_ = c.nc.SetWriteDeadline(time.Now().Add(eventually.Patience()))
	_ = ws.WriteFrame(c.nc, ws.MaskFrame(f))
}

// drop ends the connection without a close frame, as a lost network does.
func (c *conn) drop() {
	c.once.Do(func() {
		close(c.over)
		if tcp, ok := c.nc.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		c.nc.Close()
	})
}

// bye closes with a code and waits for the server's answer.
func (c *conn) bye(code ws.StatusCode) {
	c.t.Helper()
	c.write(ws.NewCloseFrame(ws.NewCloseFrameBody(code, "")))
	for {
		if f := c.next(); f.Event == "close" || f.Event == "eof" {
			return
		}
	}
}

// raw sends bytes as one text frame.
func (c *conn) raw(text string) { c.write(ws.NewTextFrame([]byte(text))) }

// do sends a request, "event {payload}", with an id of its own.
func (c *conn) do(request string) {
	c.t.Helper()
	c.id++
	event, payload, _ := strings.Cut(c.sc.expand(request), " ")
	if payload == "" {
		c.raw(fmt.Sprintf(`{"id":%d,"event":%q}`, c.id, event))
		return
	}
	c.raw(fmt.Sprintf(`{"id":%d,"event":%q,"data":%s}`, c.id, event, payload))
}

// next is the next frame.
func (c *conn) next() frame {
	c.t.Helper()
	timeout := time.NewTimer(eventually.Patience())
	defer timeout.Stop()
	for {
		select {
		case f, more := <-c.in:
			if !more {
				f = frame{Event: "eof"}
			}
			if c.foreign(f) || c.late(f) {
				continue
			}
			c.seen = append(c.seen, f.String())
			return f
		case <-timeout.C:
			c.t.Fatalf("%s: no frame in %v\n%s", c.user, eventually.Patience(), c.story())
		}
	}
}

// late reports whether f announces a user who was in a room's list already: a join is
// announced when it is stored, which may be after the next join was answered.
func (c *conn) late(f frame) bool {
	var e struct {
		RoomID, UserID string
		Users          []struct{ UserID string }
	}
	switch f.Event {
	case "roomUsers", "userJoined", "userLeft", "userOnline":
		if json.Unmarshal(f.Data, &e) != nil {
			return false
		}
	}
	switch f.Event {
	case "roomUsers":
		c.listed[e.RoomID] = nil
		for _, u := range e.Users {
			c.listed[e.RoomID] = append(c.listed[e.RoomID], u.UserID)
		}
	case "userJoined":
		return slices.Contains(c.listed[e.RoomID], e.UserID)
	case "userOnline":
		for _, users := range c.listed {
			if slices.Contains(users, e.UserID) {
				return true
			}
		}
	case "userLeft":
		c.listed[e.RoomID] = slices.DeleteFunc(c.listed[e.RoomID], func(id string) bool { return id == e.UserID })
	}
	return false
}

// foreign reports whether f comes from the lobby and is not for this test.
func (c *conn) foreign(f frame) bool {
	switch f.Event {
	case "userJoined", "userLeft", "receiveMessage":
		return c.only != "" && f.text("roomId") == "lobby" && !strings.Contains(string(f.Data), c.only)
	}
	return false
}

// story is what came last, for messages.
func (c *conn) story() string {
	return "frames so far:\n  " + strings.Join(c.seen[max(0, len(c.seen)-8):], "\n  ")
}

// want takes as many frames as there are patterns and compares them in order. A
// pattern is "event {data}" for an event, "re event {data}" for the reply to the
// last request. It returns the last frame.
func (c *conn) want(patterns ...string) (last frame) {
	c.t.Helper()
	for _, p := range patterns {
		last = c.next()
		if err := c.differs(p, last); err != nil {
			c.t.Fatalf("%s: %v\nwant %s\n got %s\n%s", c.user, err, c.sc.expand(p), last, c.story())
		}
	}
	return last
}

// wantAll is want for frames whose order says nothing. It returns them in the
// order of the patterns.
func (c *conn) wantAll(patterns ...string) []frame {
	c.t.Helper()
	got := make([]frame, len(patterns))
	found := make([]bool, len(patterns))
next:
	for range patterns {
		f := c.next()
		for i, p := range patterns {
			if !found[i] && c.differs(p, f) == nil {
				found[i], got[i] = true, f
				continue next
			}
		}
		var missing []string
		for i, p := range patterns {
			if !found[i] {
				missing = append(missing, c.sc.expand(p))
			}
		}
		c.t.Fatalf("%s: unexpected %s\nmissing\n  %s\n%s", c.user, f, strings.Join(missing, "\n  "), c.story())
	}
	return got
}

func (c *conn) differs(pattern string, f frame) error {
	c.t.Helper()
	rest, reply := strings.CutPrefix(c.sc.expand(pattern), "re ")
	event, data, _ := strings.Cut(rest, " ")
	switch {
	case f.Event != event:
		return fmt.Errorf("want %s", event)
	case reply && (f.ID == nil || *f.ID != c.id):
		return fmt.Errorf("want the reply with id %d", c.id)
	case !reply && f.ID != nil:
		return fmt.Errorf("want an event without id")
	case data == "":
		return nil
	}
	return match("data", decode(c.t, data), decode(c.t, string(f.Data)))
}

// until takes frames up to the one that matches, which it returns.
func (c *conn) until(pattern string) frame {
	c.t.Helper()
	for {
		f := c.next()
		if c.differs(pattern, f) == nil {
			return f
		}
		if f.Event == "eof" || f.Event == "close" {
			c.t.Fatalf("%s: ended before %s\n%s", c.user, c.sc.expand(pattern), c.story())
		}
	}
}
