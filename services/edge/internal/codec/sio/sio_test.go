package sio_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/socketio"
	"github.com/confab-chat/confab/proto/strictjson"
	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/codec/sio"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn/conntest"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func TestAppend(t *testing.T) {
	t.Parallel()
	chat, main := sio.Codec{Namespace: "/chat"}, sio.Codec{Namespace: "/"}
	obj := []byte(`{"a":1}`)
	m := event.Message{ID: "x", Content: `say "roomId":"no","seq":9`, RoomID: "a/b.c", MessageType: "TEXT", Seq: 42, Timestamp: 1}
	msg := m.AppendJSON(nil)
	for name, c := range map[string]struct {
		frame []byte
		want  string
	}{
		"event":          {chat.AppendEvent(nil, "ping", obj), `42/chat,["ping",{"a":1}]`},
		"event in main":  {main.AppendEvent(nil, "ping", obj), `42["ping",{"a":1}]`},
		"message":        {chat.AppendEvent(nil, "receiveMessage", msg), `42/chat,["receiveMessage",` + string(msg) + `,"42.a/b.c"]`},
		"no message":     {chat.AppendEvent(nil, "receiveMessage", obj), `42/chat,["receiveMessage",{"a":1}]`},
		"ack":            {chat.AppendReply(nil, 12, "joinedRoom", obj), `43/chat,12[{"event":"joinedRoom","a":1}]`},
		"ack in main":    {main.AppendReply(nil, 0, "joinedRoom", obj), `430[{"event":"joinedRoom","a":1}]`},
		"reply by event": {chat.AppendReply(nil, codec.NoID, "joinedRoom", obj), `42/chat,["joinedRoom",{"event":"joinedRoom","a":1}]`},
		"refusal":        {main.AppendReply(nil, 7, "error", obj), `437[{"a":1}]`},
		"connect":        {chat.AppendConnect(nil, "s", ""), `40/chat,{"sid":"s"}`},
		"connect, pid":   {main.AppendConnect(nil, "s", "p"), `40{"sid":"s","pid":"p"}`},
		"refused":        {sio.Codec{Namespace: "/random"}.AppendConnectError(nil, "Invalid namespace", nil), `44/random,{"message":"Invalid namespace"}`},
		"refused, why":   {chat.AppendConnectError(nil, `a "b"`, obj), `44/chat,{"message":"a \"b\"","data":{"a":1}}`},
		"disconnect":     {chat.AppendDisconnect(nil), `41/chat,`},
		"raw":            {main.AppendPacket(nil, socketio.BinaryAck, 2, 789, []byte(`[1]`)), `462-789[1]`},
		"raw event":      {chat.AppendPacket(nil, socketio.Event, 0, codec.NoID, []byte(`[1]`)), `42/chat,[1]`},
	} {
		frames := conntest.ParseFrames(t, c.frame)
		if len(frames) != 1 || frames[0].Payload != c.want {
			t.Errorf("%s: %v, want %s", name, frames, c.want)
		}
	}
	if b := chat.AppendReply(nil, codec.NoReply, "joinedRoom", obj); len(b) > 0 {
		t.Errorf("a reply: %s", b)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	var r strictjson.Reader
	for in, want := range map[string]string{
		`2/chat,12["joinRoom",{"roomId":"r"}]`: `12 joinRoom {"roomId":"r"}`,
		`2/chat,["heartbeat"]`:                 `-1 heartbeat `,
		`2/chat,["heartbeat",null]`:            `-1 heartbeat `,
		`2/chat,["typing",{},"more",[1]]`:      `-1 typing {}`,
		`2/chat,["send\u004dessage",{}]`:       `-1 sendMessage {}`,
		`2/chat,[7]`:                           `-1 7 `,
		`2/chat,[""]`:                          `-1  `,
	} {
		req, err := sio.Codec{Namespace: "/chat"}.Decode(&r, []byte(in))
		got := strings.Join([]string{itoa(req.ID), string(req.Event), string(req.Data)}, " ")
		if err != nil || got != want {
			t.Errorf("%s: %q %v", in, got, err)
		}
	}
	for in, broken := range map[string]bool{
		`2/chat,["joinRoom",{]`:                  true,
		`2/chat,[]`:                              true,
		`2/chat,[null]`:                          true,
		`2/chat,[{}]`:                            true,
		`2/chat,["disconnect"]`:                  true,
		`2/chat,["a"]x`:                          true,
		`3/chat,1["a"]`:                          true,
		`2/chat,5["joinRoom",{"a":1,"a":2}]`:     false,
		`2/chat,5["sendMessage",{"a":"\ud800"}]`: false,
	} {
		req, err := sio.Codec{Namespace: "/chat"}.Decode(&r, []byte(in))
		if err == nil || errors.Is(err, codec.ErrBroken) != broken || !broken && req.ID != 5 {
			t.Errorf("%s: %+v %v", in, req, err)
		}
	}
}

// Whatever a client sends: no panic, and what is decoded is a packet.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`0`, `212["foo"]`, `52-/admin,7["baz",{"_placeholder":true,"num":0}]`, `2/chat,9007199254740993["x"]`, `2`} {
		f.Add([]byte(s))
	}
	var r strictjson.Reader
	f.Fuzz(func(t *testing.T, in []byte) {
		req, err := sio.Codec{Namespace: "/chat"}.Decode(&r, in)
		if _, invalid := socketio.Parse(in); invalid != nil && err == nil {
			t.Fatalf("%q decoded: %+v", in, req)
		}
	})
}

func TestOffset(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]struct {
		room string
		seq  uint64
		ok   bool
	}{
		"42.general": {"general", 42, true},
		"1.a/b.c":    {"a/b.c", 1, true},
		"":           {}, "42": {}, "42.": {}, ".x": {}, "0.x": {}, "-1.x": {}, "+1.x": {}, "x.1": {}, "99999999999999999999.x": {},
	} {
		room, seq, ok := sio.ParseOffset(in)
		if ok != want.ok || ok && (room != want.room || seq != want.seq) {
			t.Errorf("%q: %q %d %v", in, room, seq, ok)
		}
	}
}

func BenchmarkAppendMessage(b *testing.B) {
	m := event.Message{ID: "0123456789abcdef", Content: "hello, how are you today?", RoomID: "general", MessageType: "TEXT", Seq: 42, Timestamp: 1_700_000_000_000}
	m.CreatedAt, m.UpdatedAt = m.Timestamp, m.Timestamp
	msg := m.AppendJSON(nil)
	codec := sio.Codec{Namespace: "/chat"}
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		dst = codec.AppendEvent(dst[:0], event.NameReceiveMessage, msg)
	}
}
