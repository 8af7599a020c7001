package tlsio_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/tlsio"
	"github.com/confab-chat/confab/shared/cert/certtest"
	"github.com/confab-chat/confab/shared/eventually"
)

func TestMain(m *testing.M) {
	childMain()
	goleak.VerifyTestMain(m)
}

// server is a group that speaks TLS.
type server struct {
	tb    testing.TB
	group *poll.Group
	addr  string
	pool  *x509.CertPool
}

func serve(tb testing.TB, accept poll.Acceptor) *server {
	tb.Helper()
	if runtime.GOOS != "linux" {
		tb.Skip("needs epoll: elsewhere goroutines drive TLS, see poll's own tests")
	}
	g, err := poll.New(poll.Options{Loops: 2, Mode: poll.Epoll, Tick: 10 * time.Millisecond})
	if err != nil {
		tb.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	cert, pool := certtest.New(tb, 1)
	s := &server{tb: tb, group: g, addr: ln.Addr().String(), pool: pool}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	tb.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			tb.Errorf("run: %v", err)
		}
	})
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	if _, err := g.Listen(ln, tlsio.Acceptor(config, 2, accept)); err != nil {
		tb.Fatal(err)
	}
	return s
}

func (s *server) raw() net.Conn {
	s.tb.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(eventually.Patience())); err != nil {
		s.tb.Fatal(err)
	}
	return c
}

func (s *server) dial() *tls.Conn {
	s.tb.Helper()
	return tls.Client(s.raw(), &tls.Config{RootCAs: s.pool, ServerName: "localhost"})
}

// empty waits until no connection is left.
func (s *server) empty() {
	s.tb.Helper()
	eventually.Equal(s.tb, "connections that are left", 0, func() (n int) {
		for _, l := range s.group.Loops() {
			n += l.Load()
		}
		return n
	})
}

// echo is a handler that sends back what comes, at the pace of who reads it.
type echo struct {
	t    poll.Transport
	wait []byte
	over chan error // may be nil; capacity 1
}

func (e *echo) accept(t poll.Transport, _ netip.AddrPort) {
	e.t = t
	t.SetHandler(e)
}

func acceptEcho(t poll.Transport, peer netip.AddrPort) { (&echo{}).accept(t, peer) }

func (e *echo) Readable(b []byte) {
	e.wait = append(e.wait, b...)
	e.Writable()
}

func (e *echo) Writable() {
	n, err := e.t.Write(e.wait)
	if err != nil {
		e.t.Close()
		return
	}
	if e.wait = e.wait[n:]; len(e.wait) > 0 {
		e.t.PauseReads()
		return
	}
	e.wait = nil
	e.t.ResumeReads()
}

func (e *echo) Closed(err error) {
	if e.over != nil {
		e.over <- err
	}
}

// More than any buffer holds, in both directions at once: full transports, paused
// reads, records over many reads.
func TestEcho(t *testing.T) {
	t.Parallel()
	s := serve(t, acceptEcho)
	var clients sync.WaitGroup
	for i := range 4 {
		c := s.dial()
		clients.Go(func() {
			sent, got := sha256.New(), sha256.New()
			const size = 3 << 20
			var both sync.WaitGroup
			both.Go(func() {
				src := mathrand.NewChaCha8([32]byte{byte(i)})
				if _, err := io.Copy(io.MultiWriter(c, sent), io.LimitReader(src, size)); err != nil {
					t.Error(err)
				}
			})
			if _, err := io.CopyN(got, c, size); err != nil {
				t.Error(err)
			}
			both.Wait()
			if string(sent.Sum(nil)) != string(got.Sum(nil)) {
				t.Error("the echo differs")
			}
			c.Close()
		})
	}
	clients.Wait()
	s.empty()
}

// once is a handler that does something with the first bytes.
type once struct {
	t    poll.Transport
	do   func(t poll.Transport, b []byte)
	over chan error // capacity 1
}

func newOnce(do func(poll.Transport, []byte)) *once {
	return &once{do: do, over: make(chan error, 1)}
}

func (o *once) accept(t poll.Transport, _ netip.AddrPort) { o.t = t; t.SetHandler(o) }
func (o *once) Readable(b []byte)                         { o.do(o.t, b) }
func (o *once) Writable()                                 {}
func (o *once) Closed(err error)                          { o.over <- err }

func (o *once) ended(tb testing.TB) error {
	tb.Helper()
	return eventually.Receive(tb, "the end of the transport", o.over)
}

// Accepted bytes arrive, then the close_notify, and the handler is not called any more.
func TestClose(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 60<<10)
	s := serve(t, newOnce(func(t poll.Transport, _ []byte) {
		t.Write([]byte(big))
		t.Close()
		t.Close()
	}).accept)
	c := s.dial()
	io.WriteString(c, "hello")
	got, err := io.ReadAll(c)
	if err != nil || string(got) != big {
		t.Errorf("%d bytes, %v: want all %d and a clean end", len(got), err, len(big))
	}
	s.empty()
}

func TestAbort(t *testing.T) {
	t.Parallel()
	s := serve(t, newOnce(func(t poll.Transport, _ []byte) { t.Abort() }).accept)
	c := s.dial()
	io.WriteString(c, "hello")
	if _, err := io.ReadAll(c); err == nil {
		t.Error("a clean end")
	}
	s.empty()
}

func TestPeerCloses(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*tls.Conn){
		"graceful":      func(c *tls.Conn) { c.Close() },
		"without words": func(c *tls.Conn) { c.NetConn().Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			received := make(chan struct{}, 16)
			o := newOnce(func(poll.Transport, []byte) { received <- struct{}{} })
			s := serve(t, o.accept)
			c := s.dial()
			io.WriteString(c, "hello")
			<-received
			leave(c)
			if err := o.ended(t); !errors.Is(err, io.EOF) {
				t.Errorf("ended by %v", err)
			}
			s.empty()
		})
	}
}

// What is no TLS is closed.
func TestHandshakeFails(t *testing.T) {
	t.Parallel()
	o := newOnce(func(poll.Transport, []byte) { t.Error("bytes without a handshake") })
	s := serve(t, o.accept)
	c := s.raw()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := io.ReadAll(c); err != nil {
		t.Error(err)
	}
	if err := o.ended(t); err == nil {
		t.Error("no reason")
	}
	s.empty()
}

func TestCloseDuringTheHandshake(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var all []poll.Transport
	s := serve(t, func(t poll.Transport, _ netip.AddrPort) {
		t.SetHandler(newOnce(nil))
		mu.Lock()
		defer mu.Unlock()
		all = append(all, t)
		t.Loop().Post(t.Close)
	})
	c := s.raw()
	if _, err := io.ReadAll(c); err != nil {
		t.Error(err)
	}
	s.empty()
}

// A peer that does not read holds a bounded number of bytes, and does not hold up
// the end.
func TestPeerDoesNotRead(t *testing.T) {
	t.Parallel()
	full := make(chan int, 1)
	s := serve(t, newOnce(func(t poll.Transport, _ []byte) {
		total, big := 0, make([]byte, 1<<20)
		for {
			n, err := t.Write(big)
			if err != nil || n == 0 {
				break
			}
			total += n
		}
		full <- total
		t.Close()
	}).accept)
	c := s.dial()
	io.WriteString(c, "hello")
	if n := <-full; n > 32<<20 {
		t.Errorf("%d bytes taken", n)
	}
	s.empty() // after the time for goodbye, without the peer
}

// net/http takes over in the middle of what the client has sent.
func TestDetach(t *testing.T) {
	t.Parallel()
	type handed struct {
		nc  net.Conn
		got string
	}
	detached := make(chan handed, 2)
	s := serve(t, newOnce(func(t poll.Transport, b []byte) {
		nc, err := t.Detach()
		if err != nil {
			panic(err)
		}
		detached <- handed{nc, string(b)}
	}).accept)
	c := s.dial()
	text := strings.Repeat("GET / HTTP/1.1\r\n", 4000) // several records
	var writing sync.WaitGroup
	writing.Go(func() {
		if _, err := io.WriteString(c, text); err != nil {
			t.Error(err)
		}
	})
	h := <-detached
	rest := make([]byte, len(text)-len(h.got))
	if _, err := io.ReadFull(h.nc, rest); err != nil || h.got+string(rest) != text {
		t.Errorf("bytes lost in the hand-over: %v", err)
	}
	writing.Wait()
	io.WriteString(h.nc, "answer")
	h.nc.Close()
	if got, err := io.ReadAll(c); err != nil || string(got) != "answer" {
		t.Errorf("%q, %v", got, err)
	}
	s.empty()
}

// The handshake of many at once leaves no goroutine and no connection behind.
func TestRush(t *testing.T) {
	t.Parallel()
	s := serve(t, acceptEcho)
	var clients sync.WaitGroup
	for range 50 {
		c := s.dial()
		clients.Go(func() {
			defer c.Close()
			io.WriteString(c, "x")
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Error(err)
			}
		})
	}
	clients.Wait()
	s.empty()
}
