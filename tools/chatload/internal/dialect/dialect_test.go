package dialect_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/confab-chat/confab/tools/chatload/internal/dialect"
)

func named(tb testing.TB, name string) dialect.Dialect {
	tb.Helper()
	d, err := dialect.Named(name, "/chat")
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// said is what a dialect makes of a frame.
func said(d dialect.Dialect, frame string) (got []dialect.Message) {
	for rest := []byte(frame); len(rest) > 0; {
		var m dialect.Message
		m, rest = d.Next(rest)
		m.Body = nil
		got = append(got, m)
	}
	return got
}

func TestNext(t *testing.T) {
	one := func(k dialect.Kind, id uint64) []dialect.Message { return []dialect.Message{{Kind: k, ID: id}} }
	for _, test := range []struct {
		dialect, frame string
		want           []dialect.Message
	}{
		{"native", `{"event":"ping","data":{"timestamp":"x"}}`, one(dialect.Ping, 0)},
		{"native", `{"event":"userJoined","data":{}}`, one(dialect.Other, 0)},
		{"native", `{"id":12,"event":"messageSent","data":{"message":{"content":"receiveMessage"}}}`, one(dialect.Accepted, 12)},
		{"native", `{"id":3,"event":"error","data":{"success":false,"error":"RATE_LIMITED"}}`, one(dialect.Limited, 3)},
		{"native", `{"event":"error","data":{"success":false,"error":"BAD_REQUEST"}}`, one(dialect.Refused, 0)},
		{"native", `[]`, one(dialect.Other, 0)},

		{"sio", `0{"sid":"x","upgrades":[],"pingInterval":25000}`, one(dialect.Hello, 0)},
		{"sio", `2`, one(dialect.Ping, 0)},
		{"sio", `6`, one(dialect.Other, 0)},
		{"sio", `4`, one(dialect.Other, 0)},
		{"sio", `40/chat,{"sid":"y"}`, one(dialect.Opened, 0)},
		{"sio", `44/chat,{"message":"no"}`, one(dialect.Refused, 0)},
		{"sio", `42/chat,["receiveMessage",{"seq":1},"off"]`, one(dialect.Delivery, 0)},
		{"sio", `42/chat,["ping",{"timestamp":"x"}]`, one(dialect.Other, 0)},
		{"sio", `42/other,["receiveMessage",{}]`, one(dialect.Other, 0)},
		{"sio", `43/chat,7[{"event":"joinedRoom","seq":4}]`, one(dialect.Joined, 7)},
		{"sio", `43/chat,7[{"success":false,"error":"RATE_LIMITED"}]`, one(dialect.Limited, 7)},
		{"sio", `43/chat,7[{"success":false,"error":"FORBIDDEN"}]`, one(dialect.Refused, 7)},

		{"socketio", `40{"sid":"y"}`, one(dialect.Opened, 0)},
		{"socketio", `42["message","text"]`, one(dialect.Delivery, 0)},
		{"socketio", `431["joined"]`, one(dialect.Joined, 1)},
		{"socketio", `4321["published"]`, one(dialect.Accepted, 21)},
		{"socketio", `435["echo"]`, one(dialect.Echoed, 5)},
		{"socketio", `435["what"]`, one(dialect.Refused, 5)},

		{"centrifugo", `{}`, one(dialect.Ping, 0)},
		{"centrifugo", `{"id":1,"connect":{"client":"x"}}`, one(dialect.Opened, 0)},
		{"centrifugo", `{"id":1,"error":{"code":101}}`, one(dialect.Refused, 0)},
		{"centrifugo", `{"push":{"channel":"r","pub":{"data":"d"}}}`, one(dialect.Delivery, 0)},
		{"centrifugo", "{\"id\":21,\"subscribe\":{}}\n{\"id\":25,\"publish\":{}}\n{\"id\":29,\"publish\":{}}\n{\"id\":31,\"error\":{}}",
			[]dialect.Message{{Kind: dialect.Joined, ID: 7}, {Kind: dialect.Accepted, ID: 8}, {Kind: dialect.Echoed, ID: 9}, {Kind: dialect.Refused, ID: 10}}},
	} {
		if got := said(named(t, test.dialect), test.frame); !slices.EqualFunc(got, test.want, func(a, b dialect.Message) bool { return a.Kind == b.Kind && a.ID == b.ID }) {
			t.Errorf("%s %s: %v, want %v", test.dialect, test.frame, got, test.want)
		}
	}
}

// golden reads one frame of the contract's golden files.
func golden(tb testing.TB, file, name string) string {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "proto", "testdata", file+".json"))
	if err != nil {
		tb.Fatal(err)
	}
	var frames map[string]json.RawMessage
	if err := json.Unmarshal(b, &frames); err != nil {
		tb.Fatal(err)
	}
	if len(frames[name]) == 0 {
		tb.Fatalf("%s has no %q", file, name)
	}
	return string(frames[name])
}

// The contract's own golden frames are understood: natively, and as the argument of
// an acknowledgement or an event of Socket.IO.
func TestConfabFrames(t *testing.T) {
	for _, test := range []struct {
		file, reply, ack string
		want             dialect.Kind
	}{
		{"joinRoom", "reply", "ack", dialect.Joined},
		{"sendMessage", "reply", "ack", dialect.Accepted},
		{"heartbeat", "reply", "ack", dialect.Echoed},
	} {
		if got := said(named(t, "native"), golden(t, test.file, test.reply)); got[0].Kind != test.want || got[0].ID == 0 {
			t.Errorf("%s: %v, want %v", test.file, got, test.want)
		}
		if got := said(named(t, "sio"), "43/chat,9["+golden(t, test.file, test.ack)+"]"); got[0].Kind != test.want || got[0].ID != 9 {
			t.Errorf("%s by Socket.IO: %v, want %v", test.file, got, test.want)
		}
	}
	if got := said(named(t, "native"), golden(t, "joinRoom", "refusal")); got[0].Kind != dialect.Refused || got[0].ID != 8 {
		t.Errorf("refusal: %v", got)
	}
}

func TestSeq(t *testing.T) {
	if seq, ok := dialect.Seq([]byte(golden(t, "joinRoom", "reply"))); seq != 41 || !ok {
		t.Errorf("joined at %d %v, want 41", seq, ok)
	}
	if seq, ok := dialect.Seq([]byte(golden(t, "receiveMessage", "event"))); seq == 0 || !ok {
		t.Errorf("message %d %v", seq, ok)
	}
	for _, body := range []string{"", `{"content":"seq"}`, `,"seq":`, `,"seq":x`} {
		if seq, ok := dialect.Seq([]byte(body)); ok {
			t.Errorf("%s: %d", body, seq)
		}
	}
}

// Everything that is sent carries JSON, whatever stands around it.
func TestRequestsAreJSON(t *testing.T) {
	for _, name := range dialect.Names() {
		d := named(t, name)
		for _, text := range []string{
			string(d.AppendJoin(nil, 1, "room", -1)), string(d.AppendJoin(nil, 2, "room", 40)),
			string(d.AppendPublish(nil, 3, "room", []byte("content"))), string(d.AppendEcho(nil, 4)),
		} {
			if i := strings.IndexAny(text, "[{"); i < 0 || !json.Valid([]byte(text[i:])) {
				t.Errorf("%s sends %s", name, text)
			}
		}
	}
	if got := string(named(t, "sio").AppendJoin(nil, 2, "room", 40)); got != `42/chat,2["joinRoom",{"roomId":"room","since":40}]` {
		t.Error(got)
	}
}

func TestUnknownName(t *testing.T) {
	if _, err := dialect.Named("irc", ""); err == nil {
		t.Error("a dialect that nobody wrote")
	}
}

func FuzzNext(f *testing.F) {
	for _, frame := range []string{`43/chat,7[{}]`, `{"id":1,"connect":{}}`, "4", "{}\n{}", `{"id":99999999999999999999}`} {
		f.Add([]byte(frame))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, name := range dialect.Names() {
			d := named(t, name)
			for rest := frame; len(rest) > 0; {
				before := len(rest)
				if _, rest = d.Next(rest); len(rest) >= before {
					t.Fatalf("%s took nothing of %q", name, rest)
				}
			}
		}
	})
}
