package namespace_test

import (
	"bytes"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/confab-chat/confab/services/edge/internal/codec/socketio"
	"github.com/confab-chat/confab/services/edge/internal/socketio/engine"
	"github.com/confab-chat/confab/services/edge/internal/socketio/namespace"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn/conntest"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// stage is a connection of bare namespaces on a loop that the test turns.
type stage struct {
	now   time.Time
	loop  *poll.Loop
	stats conn.Stats
	wire  *conntest.Transport
}

func newStage(tb testing.TB) *stage {
	s := &stage{now: time.Unix(1_700_000_000, 0)}
	s.loop = poll.NewManual(s.now, time.Second)
	spaces := namespace.New(namespace.Options{ConnectTimeout: 45 * time.Second, Namespaces: []namespace.Namespace{
		{Codec: socketio.Codec{Namespace: "/"}, Bare: true, Echo: true},
		{Codec: socketio.Codec{Namespace: "/custom"}, Bare: true},
	}})
	server := engine.New(engine.Options{
		Path: "/socket.io/", Loops: []*poll.Loop{s.loop}, Open: spaces.Open,
		PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second, Heartbeat: 30 * time.Second, MaxPayload: 1 << 20,
	})
	handler, err := server.Gate(s.loop, "EIO=4&transport=websocket", "")
	if err != nil {
		tb.Fatal(err)
	}
	set := conn.NewSet(s.loop, conn.Options{Heartbeat: -1}, &s.stats)
	s.wire = conntest.New(s.loop)
	set.Open(s.wire, handler, nil, nil)
	s.turn(0)
	return s
}

func (s *stage) turn(d time.Duration) {
	s.now = s.now.Add(d)
	s.loop.Turn(s.now)
}

// say plays a frame of the client; it returns false when the connection is over.
func (s *stage) say(tb testing.TB, op ws.OpCode, payload string) bool {
	if s.wire.Closed || s.wire.WriteEnded {
		return false
	}
	s.wire.Receive(tb, conntest.ClientFrame(true, op, payload))
	s.turn(0)
	return true
}

// Whatever packets a client sends, in whatever order: nobody panics, and what it is
// held back for it is bounded.
func FuzzClient(f *testing.F) {
	for _, s := range []string{
		"40\x0042[\"message\",1]\x0041", "40/custom,\x0042/custom,[\"message\"]\x0041/custom", "40/x\x00400",
		"40\x00451-[\"message\",{\"_placeholder\":true,\"num\":0}]\x00b123",
		"40\x00452-7[\"message-with-ack\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]\x00b1\x00b2",
		"40\x00461-5[{\"_placeholder\":true,\"num\":0}]\x00b1", "40\x0040", "2\x003\x006\x005\x001", "40{\"token\":1}\x0043",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s := newStage(t)
		for packet := range bytes.SplitSeq(in, []byte{0}) {
			op := ws.OpText
			if len(packet) > 0 && packet[0] == 'b' {
				op = ws.OpBinary
			}
			if op == ws.OpText && !utf8.Valid(packet) {
				continue
			}
			if !s.say(t, op, string(packet)) {
				break
			}
		}
		s.turn(10 * time.Millisecond) // the auth event
		s.turn(time.Minute)           // the ping, and its timeout
		s.turn(time.Minute)
		s.turn(time.Minute)
		if n := s.stats.Panics.Load(); n > 0 {
			t.Fatalf("%d panics", n)
		}
		if !s.wire.Closed {
			t.Error("a client that answers no ping stays")
		}
	})
}

func TestBare(t *testing.T) {
	t.Parallel()
	for say, want := range map[string]string{
		`40`:              `42["auth",{}]`,
		`40{"a":[1,"€"]}`: `42["auth",{"a":[1,"€"]}]`,
		`40/custom,`:      `42/custom,["auth",{}]`,
		`40/nope`:         `44/nope,{"message":"Invalid namespace"}`,
	} {
		s := newStage(t)
		s.say(t, ws.OpText, say)
		s.turn(5 * time.Millisecond)
		frames := s.wire.TakeFrames(t)
		if last := frames[len(frames)-1]; last.Payload != want {
			t.Errorf("%s: %v", say, frames)
		}
	}
}
