package natstest

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// Direction is a way through a [Gate].
type Direction uint8

// Ways through a gate; they can be combined with |.
const (
	Up   Direction = 1 << iota // client to server
	Down                       // server to client
	Both = Up | Down
)

var errCut = errors.New("natstest: gate is cut")

// Gate stands between clients and a server and can misbehave like a network:
//
//   - Cut: connections break at once, new ones are refused;
//   - Blackhole: bytes do not get through and no end sees an error; what was written
//     waits, as it would in socket buffers, and arrives after Open;
//   - Delay: all bytes arrive later.
//
// It implements [nats.InProcessConnProvider]. Safe for concurrent use.
type Gate struct {
	next nats.InProcessConnProvider // static

	wg sync.WaitGroup // the pumps of all links

	mu      sync.Mutex // guards what follows
	cut     bool
	holed   Direction
	delay   time.Duration
	changed chan struct{} // closed and replaced at each change
	links   map[*link]struct{}
}

// NewGate returns an open gate in front of next, torn down when the test ends.
func NewGate(tb testing.TB, next nats.InProcessConnProvider) *Gate {
	tb.Helper()
	g := &Gate{next: next, changed: make(chan struct{}), links: make(map[*link]struct{})}
	tb.Cleanup(func() {
		g.Cut()
		g.wg.Wait()
	})
	return g
}

// Cut breaks all connections and refuses new ones until Open.
func (g *Gate) Cut() {
	g.update(func() { g.cut = true })
	g.Break()
}

// Break breaks all connections once; clients may reconnect at once.
func (g *Gate) Break() {
	g.mu.Lock()
	broken := make([]*link, 0, len(g.links))
	for l := range g.links {
		broken = append(broken, l)
	}
	g.mu.Unlock()
	for _, l := range broken {
		l.close()
	}
}

// Blackhole blocks all bytes in direction d until Open. New connections are accepted, and
// hang.
func (g *Gate) Blackhole(d Direction) { g.update(func() { g.holed = d }) }

// Delay delays all bytes written from now on by d, in both directions; 0 ends it.
func (g *Gate) Delay(d time.Duration) { g.update(func() { g.delay = d }) }

// Open ends Cut and Blackhole; what waited arrives, in order.
func (g *Gate) Open() { g.update(func() { g.cut, g.holed = false, 0 }) }

func (g *Gate) update(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
	close(g.changed)
	g.changed = make(chan struct{})
}

// Conn returns a connection through the gate that is closed when the test ends,
// see [Conn]. The loss of the connection does not fail the test.
func (g *Gate) Conn(tb testing.TB, opts ...nats.Option) *nats.Conn {
	tb.Helper()
	return Conn(tb, g, opts...)
}

// InProcessConn returns a connection through the gate.
func (g *Gate) InProcessConn() (net.Conn, error) {
	g.mu.Lock()
	cut := g.cut
	g.mu.Unlock()
	if cut {
		return nil, errCut
	}
	far, err := g.next.InProcessConn()
	if err != nil {
		return nil, err
	}
	near, inner := net.Pipe()
	l := newLink(g, inner, far)

	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cut { // meanwhile
		l.close()
		return nil, errCut
	}
	g.links[l] = struct{}{}
	g.wg.Go(func() { l.run(); g.forget(l) })
	return near, nil
}

func (g *Gate) forget(l *link) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.links, l)
}

// pass waits until direction d is open, and reports whether done was closed first.
func (g *Gate) pass(d Direction, done <-chan struct{}) bool {
	for {
		g.mu.Lock()
		open, changed := g.holed&d == 0, g.changed
		g.mu.Unlock()
		if open {
			return true
		}
		select {
		case <-changed:
		case <-done:
			return false
		}
	}
}

// deadline returns when bytes written now may arrive.
func (g *Gate) deadline() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Now().Add(g.delay)
}
