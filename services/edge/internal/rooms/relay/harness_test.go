package relay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/codec/native"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay/relaytest"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn/conntest"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// edge is a relay over real NATS, with two loops, and the owner behind it.
type edge struct {
	tb    testing.TB
	srv   *natstest.Server
	gate  *natstest.Gate
	owner *relaytest.Owner
	loops *poll.Group
	hub   *hub.Hub
	conns []*nats.Conn
	*relay.Relay
}

func start(tb testing.TB, change ...func(*relay.Options)) *edge {
	tb.Helper()
	e := &edge{tb: tb, srv: natstest.Start(tb)}
	e.gate = natstest.NewGate(tb, e.srv)
	e.owner = relaytest.New(tb, natstest.Conn(tb, e.srv))
	var err error
	if e.loops, err = poll.New(poll.Options{Loops: 2, Mode: poll.Goroutine}); err != nil {
		tb.Fatal(err)
	}
	e.hub = hub.New(e.loops.Loops(), native.Codec{})
	o := relay.Options{Edge: "e1", Gen: 1, Hub: e.hub}
	for range 2 {
		o.Conns = append(o.Conns, e.gate.Conn(tb, nats.ReconnectBufSize(-1)))
	}
	e.conns = o.Conns
	for _, f := range change {
		f(&o)
	}
	if e.Relay, err = relay.New(o); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = e.loops.Run(ctx) })
	wg.Go(func() { _ = e.Run(ctx) })
	tb.Cleanup(func() { cancel(); wg.Wait() })
	return e
}

// member is a connection without socket.
type member struct {
	edge *edge
	loop *poll.Loop
	hub.Client

	mu     sync.Mutex // guards the following
	frames []conntest.Frame
	came   chan struct{} // holds a token when something came; never closed
}

func (e *edge) member(user string, loop int) *member {
	e.tb.Helper()
	m := &member{edge: e, loop: e.loops.Loops()[loop], Client: hub.Client{User: wire.User{ID: user, Name: user}}, came: make(chan struct{}, 1)}
	m.on(func() { e.hub.Local(loop).Add(&m.Client, m) })
	return m
}

// Send implements hub.Outlet.
func (m *member) Send(frames []byte, _ conn.Class) bool {
	m.mu.Lock()
	m.frames = append(m.frames, conntest.ParseFrames(m.edge.tb, frames)...)
	m.mu.Unlock()
	select {
	case m.came <- struct{}{}:
	default:
	}
	return true
}

// Close implements hub.Outlet.
func (m *member) Close(code.Close, string) {}

// on runs fn on the member's loop and waits for it.
func (m *member) on(fn func()) {
	m.edge.tb.Helper()
	done := make(chan struct{})
	if !m.loop.Post(func() { defer close(done); fn() }) {
		m.edge.tb.Fatal("loop has ended")
	}
	<-done
}

// ask joins and returns the seat, taken.
func (m *member) ask(room string) (relay.Seat, error) {
	type outcome struct {
		seat relay.Seat
		err  error
	}
	got := make(chan outcome, 1)
	m.edge.Join(relay.JoinRequest{
		Room: room, User: &m.User, Loop: m.loop, Deadline: time.Now().Add(5 * time.Second),
	}, func(s relay.Seat, err error) {
		if err == nil && !s.Room.Join(&m.Client) {
			m.edge.Leave(m.leaving(room, 0))
		}
		got <- outcome{s, err}
	})
	o := <-got
	return o.seat, o.err
}

func (m *member) join(room string) relay.Seat {
	m.edge.tb.Helper()
	s, err := m.ask(room)
	if err != nil {
		m.edge.tb.Fatalf("join: %v", err)
	}
	return s
}

func (m *member) leaving(room string, grace time.Duration) relay.Leaving {
	return relay.Leaving{Room: room, User: m.User.ID, Loop: m.loop.Index(), Grace: grace}
}

func (m *member) leave(room string, grace time.Duration) {
	m.edge.tb.Helper()
	m.on(func() {
		if p := m.LocalRoom(room); p == nil || !p.Leave(&m.Client) {
			m.edge.tb.Error("left a room that was not joined")
		}
		m.edge.Leave(m.leaving(room, grace))
	})
}

// received is a frame as the client reads it.
type received struct {
	Event string `json:"event"`
	Data  struct {
		Seq     uint64 `json:"seq"`
		Content string `json:"content"`
		UserID  string `json:"userId"`
		RoomID  string `json:"roomId"`
		From    uint64 `json:"from"`
		To      uint64 `json:"to"`
	} `json:"data"`
}

func (t received) String() string {
	switch t.Event {
	case "receiveMessage":
		return fmt.Sprint(t.Data.Seq)
	case "gap":
		return fmt.Sprintf("gap %d-%d", t.Data.From, t.Data.To)
	}
	return t.Event + " " + t.Data.UserID
}

// all returns everything that the member has received.
func (m *member) all() []received {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]received, len(m.frames))
	for i, f := range m.frames {
		decode(m.edge.tb, []byte(f.Payload), &all[i])
	}
	return all
}

// wait returns what was received, once done reports that it is enough.
func (m *member) wait(what string, done func([]received) bool) []received {
	m.edge.tb.Helper()
	deadline := time.NewTimer(eventually.Patience())
	defer deadline.Stop()
	for {
		if all := m.all(); done(all) {
			return all
		}
		select {
		case <-m.came:
		case <-deadline.C:
			m.edge.tb.Fatalf("waiting for %s, received %v", what, m.all())
		}
	}
}

func atLeast(n int) func([]received) bool { return func(all []received) bool { return len(all) >= n } }

// parse reads a message of the log.
func parse(tb testing.TB, msg []byte) (t received) {
	tb.Helper()
	decode(tb, msg, &t.Data)
	return t
}

func decode(tb testing.TB, b []byte, v any) {
	tb.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		tb.Fatalf("decode %q: %v", b, err)
	}
}
