package conn_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn/conntest"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is one connection on a loop that the test turns.
type fixture struct {
	tb      testing.TB
	now     time.Time
	loop    *poll.Loop
	factory *conn.Factory
	stats   conn.Stats
	wire    *conntest.Transport
	conn    *conn.Conn

	calls     []string // the calls of the handler
	onMessage func(string)
	onOpened  func()
	onBeat    func()
	onDrained func()
}

func start(tb testing.TB, o conn.Options) *fixture {
	f := &fixture{tb: tb, now: time.Unix(1_700_000_000, 0)}
	f.loop = poll.NewManual(f.now, time.Second)
	f.factory = conn.NewFactory(f.loop, o, &f.stats)
	f.wire = conntest.New(f.loop)
	return f
}

func (f *fixture) open(early ...byte) *fixture {
	f.factory.Open(f.wire, f, nil, early)
	f.turn()
	return f
}

// opened returns a fixture with an open connection.
func opened(tb testing.TB, o conn.Options) *fixture { return start(tb, o).open() }

func (f *fixture) turn() { f.loop.Turn(f.now) }

// pass advances the time, one turn a second.
func (f *fixture) pass(d time.Duration) {
	for end := f.now.Add(d); f.now.Before(end); {
		f.now = f.now.Add(time.Second)
		f.turn()
	}
}

// receive plays client bytes and finishes the turn.
func (f *fixture) receive(parts ...[]byte) {
	f.tb.Helper()
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	f.wire.Receive(f.tb, b)
	f.turn()
}

// said returns the calls of the handler since the last call.
func (f *fixture) said() string {
	s := strings.Join(f.calls, "; ")
	f.calls = nil
	return s
}

// wrote returns the frames since the last call as text.
func (f *fixture) wrote() string {
	f.tb.Helper()
	var out []string
	for _, fr := range f.wire.TakeFrames(f.tb) {
		switch {
		case fr.Op == ws.OpClose && len(fr.Payload) >= 2:
			code, reason, _ := ws.ParseClose([]byte(fr.Payload))
			out = append(out, fmt.Sprintf("close %d %s", code, reason))
		default:
			out = append(out, fmt.Sprintf("%x:%s", byte(fr.Op), fr.Payload))
		}
	}
	return strings.Join(out, " ")
}

func (f *fixture) want(what, got, want string) {
	f.tb.Helper()
	if got != want {
		f.tb.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func (f *fixture) Opened(c *conn.Conn) {
	f.conn = c
	f.calls = append(f.calls, "opened")
	if f.onOpened != nil {
		f.onOpened()
	}
}

func (f *fixture) Message(_ *conn.Conn, op ws.OpCode, payload []byte) {
	f.calls = append(f.calls, fmt.Sprintf("%d %s", op, payload))
	if f.onMessage != nil {
		f.onMessage(string(payload))
	}
}

func (f *fixture) Heartbeat(*conn.Conn) {
	f.calls = append(f.calls, "heartbeat")
	if f.onBeat != nil {
		f.onBeat()
	}
}

func (f *fixture) Drained(*conn.Conn) {
	f.calls = append(f.calls, "drained")
	if f.onDrained != nil {
		f.onDrained()
	}
}

func (f *fixture) Closed(_ *conn.Conn, cause conn.Cause) {
	s := fmt.Sprintf("closed %s %d", cause.Kind, cause.Code)
	if cause.Err != nil {
		s += " (" + cause.Err.Error() + ")"
	}
	f.calls = append(f.calls, s)
}

func text(s string) []byte { return ws.AppendFrame(nil, ws.OpText, []byte(s)) }
