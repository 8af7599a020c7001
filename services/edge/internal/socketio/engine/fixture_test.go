package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/confab-chat/confab/services/edge/internal/socketio/engine"
	"github.com/confab-chat/confab/services/edge/internal/socketio/peers"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn/conntest"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
	"github.com/confab-chat/confab/shared/origin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The settings of a fixture's server.
const (
	pingInterval = 25 * time.Second
	pingTimeout  = 20 * time.Second
	heartbeat    = 5 * time.Minute
	maxPayload   = 1000
)

// fixture is a server on one loop that the test turns, in a bubble of synctest. It is
// the handler of all sessions.
type fixture struct {
	t       *testing.T
	now     time.Time // of the loop
	loop    *poll.Loop
	server  *engine.Server
	sockets *conn.Factory // WebSockets
	stats   conn.Stats

	socket *engine.Socket // the last one that was opened
	calls  []string       // of the handler
	pause  bool           // the handler pauses reads at the next message
}

// run runs a test in a bubble, with a server whose loop stands still.
func run(t *testing.T, test func(*fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newFixture(t, nil)) })
}

// newFixture returns a server among peers, which may be nil. It is called in a bubble.
func newFixture(t *testing.T, p *peers.Peers) *fixture {
	f := &fixture{t: t, now: time.Unix(1_700_000_000, 0)}
	f.loop = poll.NewManual(f.now, time.Second)
	origins, err := origin.Parse("https://chat.example.com")
	if err != nil {
		t.Fatal(err)
	}
	f.server = engine.New(engine.Options{
		Path: "/engine.io/", Loops: []*poll.Loop{f.loop}, Origins: origins, Peers: p,
		Open:         func(engine.Request) engine.Handler { return f },
		PingInterval: pingInterval, PingTimeout: pingTimeout, Heartbeat: heartbeat, MaxPayload: maxPayload,
	})
	f.sockets = conn.NewFactory(f.loop, conn.Options{Heartbeat: -1}, &f.stats)
	t.Cleanup(func() {
		if n := f.stats.Panics.Load() + f.server.ConnStats()[0].Panics.Load(); n > 0 {
			t.Errorf("%d panics", n)
		}
	})
	return f
}

// turn waits until every request has reached the loop, and turns it.
func (f *fixture) turn() {
	synctest.Wait()
	f.loop.Turn(f.now)
	synctest.Wait()
}

// pass lets time pass on the loop, in steps of 100 ms.
func (f *fixture) pass(d time.Duration) {
	for end := f.now.Add(d); f.now.Before(end); {
		f.now = f.now.Add(100 * time.Millisecond)
		f.turn()
	}
}

// request is an HTTP request that may wait for its answer.
type request struct {
	response *httptest.ResponseRecorder
	done     chan struct{} // closed when the request is answered
	abandon  context.CancelFunc
}

// send starts a request and turns the loop.
func (f *fixture) send(method, query, body string, header ...string) *request {
	r := f.start(method, query, body, header...)
	f.turn()
	return r
}

// start starts a request. It reaches the loop in the next turn.
func (f *fixture) start(method, query, body string, header ...string) *request {
	ctx, cancel := context.WithCancel(f.t.Context())
	hr := httptest.NewRequestWithContext(ctx, method, "/engine.io/?"+query, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		hr.Header.Set(header[i], header[i+1])
	}
	r := &request{response: httptest.NewRecorder(), done: make(chan struct{}), abandon: cancel}
	go func() { defer close(r.done); f.server.ServeHTTP(r.response, hr) }()
	f.t.Cleanup(func() { cancel(); <-r.done })
	return r
}

// answer returns the status and body, or "waits".
func (r *request) answer() string {
	select {
	case <-r.done:
		return fmt.Sprint(r.response.Code, " ", r.response.Body)
	default:
		return "waits"
	}
}

const queryPolling = "EIO=4&transport=polling"

// session is a session over long-polling.
type session struct {
	f   *fixture
	sid string
}

// open opens a session over long-polling.
func (f *fixture) open() *session {
	f.t.Helper()
	text := f.send("GET", queryPolling, "").answer()
	var open struct{ SID string }
	if data, ok := strings.CutPrefix(text, "200 0"); !ok || json.Unmarshal([]byte(data), &open) != nil {
		f.t.Fatalf("open: %s", text)
	}
	f.calls = nil
	return &session{f, open.SID}
}

func (s *session) query() string                { return queryPolling + "&sid=" + s.sid }
func (s *session) get() *request                { return s.f.send("GET", s.query(), "") }
func (s *session) post(packets string) *request { return s.f.send("POST", s.query(), packets) }

// webSocket is a client's WebSocket. Its handler is a session's, or a probe.
type webSocket struct {
	f    *fixture
	wire *conntest.Transport
}

// connect opens a WebSocket with more parameters of the query.
func (f *fixture) connect(query string) *webSocket {
	f.t.Helper()
	w, err := f.tryConnect(query)
	if err != nil {
		f.t.Fatalf("connect: %v", err)
	}
	return w
}

func (f *fixture) tryConnect(query string) (*webSocket, error) {
	h, err := f.server.Gate(f.loop, "EIO=4&transport=websocket"+query, "")
	if err != nil {
		return nil, err
	}
	w := &webSocket{f, conntest.New(f.loop)}
	f.sockets.Open(w.wire, h, nil, nil)
	f.turn()
	return w, nil
}

// say sends packets in text frames.
func (w *webSocket) say(packets ...string) {
	w.f.t.Helper()
	for _, p := range packets {
		w.wire.Receive(w.f.t, conntest.Text(p))
	}
	w.f.turn()
}

// received returns what came since the last call: packets, binary data after a b, and
// close frames.
func (w *webSocket) received() string {
	w.f.t.Helper()
	var all []string
	for _, frame := range w.wire.TakeFrames(w.f.t) {
		switch frame.Op {
		case ws.OpClose:
			status, _, _ := ws.ParseClose([]byte(frame.Payload))
			all = append(all, fmt.Sprint("close ", status))
		case ws.OpBinary:
			all = append(all, "b"+frame.Payload)
		default:
			all = append(all, frame.Payload)
		}
	}
	return strings.Join(all, " ")
}

// called returns the calls of the handler since the last time.
func (f *fixture) called() string {
	calls := strings.Join(f.calls, " ")
	f.calls = nil
	return calls
}

func (f *fixture) want(what, got, want string) {
	f.t.Helper()
	if got != want {
		f.t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// emit sends messages to the client.
func (f *fixture) emit(texts ...string) {
	for _, text := range texts {
		f.socket.Send(ws.AppendFrame(nil, ws.OpText, []byte("4"+text)), conn.Reply)
	}
	f.turn()
}

// Opened implements engine.Handler.
func (f *fixture) Opened(s *engine.Socket) {
	f.socket = s
	f.calls = append(f.calls, "opened")
}

// Message implements engine.Handler.
func (f *fixture) Message(s *engine.Socket, binary bool, data []byte) {
	kind := "text:"
	if binary {
		kind = "binary:"
	}
	f.calls = append(f.calls, kind+string(data))
	if f.pause {
		f.pause = false
		s.PauseReads()
	}
}

// Heartbeat implements engine.Handler.
func (f *fixture) Heartbeat(*engine.Socket) { f.calls = append(f.calls, "heartbeat") }

// Drained implements engine.Handler.
func (f *fixture) Drained(*engine.Socket) { f.calls = append(f.calls, "drained") }

// Closed implements engine.Handler.
func (f *fixture) Closed(_ *engine.Socket, cause conn.Cause) {
	f.calls = append(f.calls, fmt.Sprintf("closed:%s,%d", cause.Kind, cause.Code))
}
