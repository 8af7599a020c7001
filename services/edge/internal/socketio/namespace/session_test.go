package namespace

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/codec/sio"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/session"
	"github.com/confab-chat/confab/services/edge/internal/socketio/engine"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn/conntest"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// openingSocket returns a socket whose CONNECT has not been answered, and the transport of
// its connection. The session is a zero value: only the test sends.
func openingSocket(t *testing.T) (*sessionSocket, *conntest.Transport) {
	t.Helper()
	now := time.Unix(1_700_000_000, 0)
	loop := poll.NewManual(now, time.Second)
	spaces := New(Options{
		Core:           &session.Core{Options: session.Options{QueueBytes: 100, Hub: hub.New([]*poll.Loop{loop})}},
		ConnectTimeout: time.Minute,
	})
	server := engine.New(engine.Options{
		Path: "/socket.io/", Loops: []*poll.Loop{loop}, Open: spaces.Open,
		PingInterval: time.Minute, PingTimeout: time.Minute, Heartbeat: time.Minute,
	})
	handler, err := server.Gate(loop, "EIO=4&transport=websocket", "")
	if err != nil {
		t.Fatal(err)
	}
	wire := conntest.New(loop)
	conn.NewFactory(loop, conn.Options{Heartbeat: -1}, &conn.Stats{}).Open(wire, handler, nil, nil)
	loop.Turn(now)
	wire.Take()
	c := handler.(*engine.Socket)
	client := spaces.Open(engine.Request{}).(*Client)
	client.Opened(c)
	s := &sessionSocket{
		Socket: c, client: client, ns: &Namespace{Codec: sio.Codec{Namespace: "/chat"}},
		session: &session.Session{}, opening: &opening{},
	}
	client.sockets = []socket{s}
	return s, wire
}

func text(payload string) []byte { return ws.AppendFrame(nil, ws.OpText, []byte(payload)) }

// sent turns the loop and returns what the client was sent since the last call.
func sent(t *testing.T, s *sessionSocket, wire *conntest.Transport) string {
	t.Helper()
	s.Loop().Turn(s.Loop().Now())
	var all []string
	for _, f := range wire.TakeFrames(t) {
		payload, _, _ := strings.Cut(f.Payload, `{"sid":`)
		if f.Op == ws.OpClose {
			status, _, _ := ws.ParseClose([]byte(f.Payload))
			payload = fmt.Sprint("close ", status)
		}
		all = append(all, payload)
	}
	return strings.Join(all, " ")
}

// What a session sends before CONNECT is answered follows the answer, in order.
func TestGrant(t *testing.T) {
	t.Parallel()
	s, wire := openingSocket(t)
	s.Send(text("one"), conn.Reply)
	s.Send(text("two"), conn.Message)
	if got := sent(t, s, wire); got != "" || s.Queued() != len(text("one"))+len(text("two")) {
		t.Errorf("before the answer: %q, %d bytes queued", got, s.Queued())
	}
	s.grant("pid")
	s.Send(text("three"), conn.Reply)
	if got := sent(t, s, wire); got != "40/chat, one two three" || s.Queued() != 0 {
		t.Errorf("after the answer: %q, %d bytes queued", got, s.Queued())
	}
	if r := s.client.server.recoverables.find("pid"); r == nil || r.live != s {
		t.Errorf("not recoverable: %+v", r)
	}
}

// Before CONNECT is answered no more is held than a queue may have.
func TestHeldFramesAreBounded(t *testing.T) {
	t.Parallel()
	s, _ := openingSocket(t)
	long := text(strings.Repeat("x", 58)) // 60 bytes
	if !s.Send(long, conn.Reply) || s.opening.overflowed {
		t.Error("what fits was not held")
	}
	if s.Send(long, conn.Reply) || !s.opening.overflowed {
		t.Error("more than QueueBytes was held")
	}
	if s.Send(text("x"), conn.Reply) || s.Queued() != len(long) {
		t.Error("frames behind a dropped one were held")
	}
}

// An event before the answer to CONNECT violates the protocol.
func TestEventBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	s, wire := openingSocket(t)
	s.client.Message(s.Socket, false, []byte(`2/chat,["heartbeat"]`))
	if got := sent(t, s, wire); got != "close 1008" {
		t.Errorf("sent %q", got)
	}
}

// A client that must not reconnect is sent the reason and DISCONNECT. Any other only loses
// the transport.
func TestSessionCloses(t *testing.T) {
	t.Parallel()
	for k, want := range map[code.Close]string{
		code.CloseRestart:         `close 1012`,
		code.CloseInvalidToken:    `UNAUTHORIZED 41/chat, close 4500`,
		code.CloseProtocolAbuse:   `BAD_REQUEST 41/chat, close 4503`,
		code.CloseConnectionLimit: `FORBIDDEN 41/chat, close 4504`,
	} {
		s, wire := openingSocket(t)
		s.grant("pid")
		sent(t, s, wire)
		s.Close(k, "")
		got := sent(t, s, wire)
		if rest, found := strings.CutPrefix(got, `42/chat,["error",{"success":false,"error":"`); found {
			name, rest, _ := strings.Cut(rest, `"`)
			_, rest, _ = strings.Cut(rest, `}] `)
			got = name + " " + rest
		}
		if got != want {
			t.Errorf("%d: %s", k, got)
		}
	}
}

// Reads are paused while any namespace of the connection has paused them.
func TestPausedNamespaces(t *testing.T) {
	t.Parallel()
	s, _ := openingSocket(t)
	other := &sessionSocket{Socket: s.Socket, client: s.client, ns: &Namespace{}, opening: &opening{}}
	paused := func(what string, want bool) {
		t.Helper()
		s.Loop().Turn(s.Loop().Now())
		if s.Socket.Paused() != want {
			t.Errorf("%s: paused %v", what, !want)
		}
	}
	s.PauseReads()
	s.PauseReads()
	other.PauseReads()
	paused("both", true)
	s.ResumeReads()
	s.ResumeReads()
	paused("one", true)
	other.closed(conn.Cause{})
	paused("the last one has left", false)
}
