package poll_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/shared/eventually"
)

func TestMain(m *testing.M) {
	childMain()
	goleak.VerifyTestMain(m)
}

// modes runs a test over every way in which connections are driven here.
func modes(t *testing.T, test func(t *testing.T, o poll.Options)) {
	t.Helper()
	for _, m := range []poll.Mode{poll.Epoll, poll.Goroutine} {
		if m == poll.Epoll && runtime.GOOS != "linux" {
			continue
		}
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			test(t, poll.Options{Loops: 2, Mode: m, Tick: 10 * time.Millisecond})
		})
	}
}

// serve runs a group and returns it with the address of a listener on it.
func serve(tb testing.TB, o poll.Options, accept poll.Acceptor) (*poll.Group, string) {
	tb.Helper()
	g, err := poll.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	addr := ln.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	tb.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			tb.Errorf("run: %v", err)
		}
	})
	if _, err := g.Listen(ln, accept); err != nil {
		tb.Fatal(err)
	}
	return g, addr
}

func dial(tb testing.TB, addr string) *net.TCPConn {
	tb.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(eventually.Patience())); err != nil {
		tb.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// peer is a handler made of functions, and says how its connection ended.
type peer struct {
	t        poll.Transport
	readable func(p *peer, b []byte)
	writable func(p *peer)
	closed   chan error // capacity 1
}

func newPeer(readable func(*peer, []byte)) *peer {
	return &peer{readable: readable, closed: make(chan error, 1)}
}

func (p *peer) accept(t poll.Transport, _ netip.AddrPort) {
	p.t = t
	t.SetHandler(p)
}

func (p *peer) Readable(b []byte) { p.readable(p, b) }
func (p *peer) Closed(err error)  { p.closed <- err }
func (p *peer) Writable() {
	if p.writable != nil {
		p.writable(p)
	}
}

func (p *peer) waitClosed(tb testing.TB) error {
	tb.Helper()
	return receive(tb, p.closed)
}

func receive[T any](tb testing.TB, ch <-chan T) T {
	tb.Helper()
	return eventually.Receive(tb, "a value", ch)
}

// on runs fn on the loop and waits for it.
func on(tb testing.TB, l *poll.Loop, fn func()) {
	tb.Helper()
	done := make(chan struct{})
	if !l.Post(func() { defer close(done); fn() }) {
		tb.Fatal("loop has ended")
	}
	receive(tb, done)
}

// echo writes back whatever comes, and stops reading while the peer does not.
type echo struct {
	t       poll.Transport
	waiting []byte
}

func acceptEcho(t poll.Transport, _ netip.AddrPort) { t.SetHandler(&echo{t: t}) }

func (e *echo) Readable(b []byte) {
	e.waiting = append(e.waiting, b...)
	e.Writable()
}

func (e *echo) Writable() {
	n, err := e.t.Write(e.waiting)
	if err != nil {
		e.t.Close()
		return
	}
	e.waiting = e.waiting[n:]
	if len(e.waiting) > 0 {
		e.t.PauseReads()
	} else {
		e.waiting = nil
		e.t.ResumeReads()
	}
}

func (e *echo) Closed(error) {}

func readAll(tb testing.TB, c net.Conn) string {
	tb.Helper()
	b, err := io.ReadAll(c)
	if err != nil {
		tb.Fatalf("after %d bytes: %v", len(b), err)
	}
	return string(b)
}
