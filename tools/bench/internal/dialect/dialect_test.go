package dialect_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/confab-chat/confab/tools/bench/internal/dialect"
)

func named(tb testing.TB, name string) dialect.Dialect {
	tb.Helper()
	d, err := dialect.Named(name, "/chat")
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// decode returns the messages of a frame.
func decode(d dialect.Dialect, frame string) (got []dialect.Message) {
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
		{"native", `{"id":3,"event":"error","data":{"success":false,"error":"RATE_LIMITED"}}`, one(dialect.Refused, 3)},
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
		{"sio", `43/chat,7[{"success":false,"error":"RATE_LIMITED"}]`, one(dialect.Refused, 7)},
		{"sio", `43/chat,7[{"success":false,"error":"FORBIDDEN"}]`, one(dialect.Refused, 7)},

		{"centrifugo", `{}`, one(dialect.Ping, 0)},
		{"centrifugo", `{"id":1,"connect":{"client":"x"}}`, one(dialect.Opened, 0)},
		{"centrifugo", `{"id":1,"error":{"code":101}}`, one(dialect.Refused, 0)},
		{"centrifugo", `{"push":{"channel":"r","pub":{"data":"d"}}}`, one(dialect.Delivery, 0)},
		{"centrifugo", "{\"id\":14,\"subscribe\":{}}\n{\"id\":17,\"publish\":{}}\n{\"id\":21,\"error\":{}}",
			[]dialect.Message{{Kind: dialect.Joined, ID: 7}, {Kind: dialect.Accepted, ID: 8}, {Kind: dialect.Refused, ID: 10}}},
	} {
		if got := decode(named(t, test.dialect), test.frame); !slices.EqualFunc(got, test.want, func(a, b dialect.Message) bool { return a.Kind == b.Kind && a.ID == b.ID }) {
			t.Errorf("%s %s: %v, want %v", test.dialect, test.frame, got, test.want)
		}
	}
}

// golden returns one frame of the contract's golden files.
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

// The contract's golden frames are recognized: natively, and as the argument of an
// acknowledgement of Socket.IO.
func TestConfabFrames(t *testing.T) {
	for _, test := range []struct {
		file, reply, ack string
		want             dialect.Kind
	}{
		{"joinRoom", "reply", "ack", dialect.Joined},
		{"sendMessage", "reply", "ack", dialect.Accepted},
	} {
		if got := decode(named(t, "native"), golden(t, test.file, test.reply)); got[0].Kind != test.want || got[0].ID == 0 {
			t.Errorf("%s: %v, want %v", test.file, got, test.want)
		}
		if got := decode(named(t, "sio"), "43/chat,9["+golden(t, test.file, test.ack)+"]"); got[0].Kind != test.want || got[0].ID != 9 {
			t.Errorf("%s by Socket.IO: %v, want %v", test.file, got, test.want)
		}
	}
	if got := decode(named(t, "native"), golden(t, "joinRoom", "refusal")); got[0].Kind != dialect.Refused || got[0].ID != 8 {
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

// Every request carries JSON.
func TestRequestsAreJSON(t *testing.T) {
	for _, name := range dialect.Names() {
		d := named(t, name)
		for _, text := range []string{
			string(d.AppendJoin(nil, 1, "room", -1)), string(d.AppendJoin(nil, 2, "room", 40)),
			string(d.AppendPublish(nil, 3, "room", []byte("content"))),
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
		t.Error("an unknown dialect is accepted")
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
					t.Fatalf("%s consumes nothing of %q", name, rest)
				}
			}
		}
	})
}
