package poll_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/shared/eventually"
)

// TestEcho moves more than any buffer holds in both directions at once.
func TestEcho(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, o poll.Options) {
		_, addr := serve(t, o, acceptEcho)
		var clients sync.WaitGroup
		for i := range 8 {
			c := dial(t, addr)
			clients.Go(func() {
				src := rand.NewChaCha8([32]byte{byte(i)})
				sent, got := sha256.New(), sha256.New()
				const size = 4 << 20
				var both sync.WaitGroup
				both.Go(func() {
					if _, err := io.Copy(io.MultiWriter(c, sent), io.LimitReader(src, size)); err != nil {
						t.Error(err)
					}
				})
				if _, err := io.CopyN(got, c, size); err != nil {
					t.Error(err)
				}
				both.Wait()
				if !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
					t.Error("the echo differs")
				}
			})
		}
		clients.Wait()
	})
}

func TestPeerCloses(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, o poll.Options) {
		p := newPeer(func(*peer, []byte) {})
		g, addr := serve(t, o, p.accept)
		c := dial(t, addr)
		c.Write([]byte("x"))
		c.Close()
		if err := p.waitClosed(t); !errors.Is(err, io.EOF) {
			t.Errorf("closed by %v, want EOF", err)
		}
		waitEmpty(t, g)
	})
}

func TestPeerResets(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, o poll.Options) {
		p := newPeer(func(*peer, []byte) {})
		_, addr := serve(t, o, p.accept)
		c := dial(t, addr)
		c.SetLinger(0)
		c.Close()
		if err := p.waitClosed(t); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("closed by %v, want a reset", err)
		}
	})
}

// TestClose wants the taken bytes to arrive and the handler to hear nothing.
func TestClose(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, o poll.Options) {
		p := newPeer(func(p *peer, b []byte) {
			p.t.Write([]byte("bye"))
			p.t.Close()
			p.t.Close()
			if _, err := p.t.Write([]byte("x")); err == nil {
				t.Error("Write after Close succeeded")
			}
		})
		g, addr := serve(t, o, p.accept)
		c := dial(t, addr)
		c.Write([]byte("hello"))
		if got := readAll(t, c); got != "bye" {
			t.Errorf("read %q", got)
		}
		waitEmpty(t, g)
		if len(p.closed) > 0 {
			t.Error("the handler was notified of its own Close")
		}
	})
}

func TestAbort(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, o poll.Options) {
		p := newPeer(func(p *peer, b []byte) { p.t.Abort() })
		_, addr := serve(t, o, p.accept)
		c := dial(t, addr)
		c.Write([]byte("hello"))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: %v, want a reset", err)
		}
	})
}

// TestLinger: the last bytes reach a client that keeps on sending.
func TestLinger(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, o poll.Options) {
		p := newPeer(nil)
		p.readable = func(p *peer, b []byte) {
			poll.Refuse(p.t, []byte("no, and here is why"), 10*time.Second)
		}
		g, addr := serve(t, o, p.accept)
		c := dial(t, addr)
		if _, err := c.Write(make([]byte, 8<<20)); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, c); got != "no, and here is why" {
			t.Errorf("read %q", got)
		}
		c.Close()
		waitEmpty(t, g)
	})
}

// TestLingerEnds: a client that never closes is not waited for.
func TestLingerEnds(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, o poll.Options) {
		p := newPeer(nil)
		p.readable = func(p *peer, b []byte) { poll.Refuse(p.t, []byte("no"), 30*time.Millisecond) }
		g, addr := serve(t, o, p.accept)
		c := dial(t, addr)
		c.Write([]byte("x"))
		if got := readAll(t, c); got != "no" {
			t.Errorf("read %q", got)
		}
		waitEmpty(t, g)
	})
}

// TestPause: a paused connection leaves the bytes with the peer, and loses none.
// A loop with much to write still reads from other connections.
func TestReadsBetweenFlushes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("loops have no sockets of their own")
	}
	received := 0
	p := newPeer(func(_ *peer, b []byte) { received += len(b) })
	accepted := make(chan struct{})
	g, addr := serve(t, poll.Options{Loops: 1, Mode: poll.Epoll}, func(tr poll.Transport, from netip.AddrPort) {
		p.accept(tr, from)
		close(accepted)
	})
	c := dial(t, addr)
	receive(t, accepted)
	var before []int // bytes read at each flush
	on(t, g.Loops()[0], func() {
		if _, err := c.Write([]byte("hello")); err != nil { // it is in the socket when Write returns
			t.Error(err)
		}
		for range 1000 {
			g.Loops()[0].Defer(&flush{func() { before = append(before, received) }})
		}
	})
	on(t, g.Loops()[0], func() {
		if len(before) != 1000 || before[0] != 0 || before[999] != len("hello") {
			t.Errorf("%d flushes, the first after %d bytes, the last after %d", len(before), before[0], before[len(before)-1])
		}
	})
}

func TestPause(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, o poll.Options) {
		var got atomic.Int64
		first := make(chan struct{}, 1)
		p := newPeer(func(p *peer, b []byte) {
			if got.Add(int64(len(b))) == int64(len(b)) {
				p.t.PauseReads()
				first <- struct{}{}
			}
		})
		_, addr := serve(t, o, p.accept)
		c := dial(t, addr)
		const size = 64 << 20 // more than the system's buffers hold
		sent := make(chan error, 1)
		go func() {
			_, err := c.Write(make([]byte, size))
			sent <- err
		}()
		receive(t, first)
		var seen int64
		on(t, p.t.Loop(), func() { seen = got.Load() })
		if len(sent) > 0 || seen >= size {
			t.Errorf("%d bytes taken while paused", seen)
		}
		on(t, p.t.Loop(), func() { p.t.ResumeReads() })
		if err := receive(t, sent); err != nil {
			t.Fatal(err)
		}
		c.CloseWrite()
		if err := p.waitClosed(t); !errors.Is(err, io.EOF) {
			t.Errorf("closed by %v", err)
		}
		if got.Load() != size {
			t.Errorf("%d bytes arrived, want %d", got.Load(), size)
		}
	})
}

// TestWritable: full is announced once, room is announced once.
func TestWritable(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, o poll.Options) {
		o.SendBuffer = 16 << 10
		payload := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		var calls int
		p := newPeer(nil)
		rest := payload
		pour := func(p *peer) {
			n, err := p.t.Write(rest)
			if err != nil {
				t.Error(err)
			}
			if rest = rest[n:]; len(rest) == 0 {
				p.t.Close()
			}
		}
		p.readable = func(p *peer, _ []byte) { pour(p) }
		p.writable = func(p *peer) { calls++; pour(p) }
		g, addr := serve(t, o, p.accept)
		c := dial(t, addr)
		c.Write([]byte("go"))
		if got := readAll(t, c); got != string(payload) {
			t.Errorf("%d bytes arrived, want %d", len(got), len(payload))
		}
		waitEmpty(t, g)
		if calls == 0 || len(rest) > 0 {
			t.Errorf("Writable was called %d times, %d bytes left", calls, len(rest))
		}
	})
}

func TestPanicCostsOneConnection(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, o poll.Options) {
		o.Loops = 1
		var peers atomic.Int64
		bad := newPeer(func(*peer, []byte) { panic("bug") })
		_, addr := serve(t, o, func(tr poll.Transport, from netip.AddrPort) {
			if peers.Add(1) == 1 {
				bad.accept(tr, from)
				return
			}
			acceptEcho(tr, from)
		})
		first := dial(t, addr)
		first.Write([]byte("x"))
		if err := bad.waitClosed(t); !errors.Is(err, poll.ErrPanic) {
			t.Errorf("closed by %v, want ErrPanic", err)
		}
		second := dial(t, addr)
		second.Write([]byte("hello"))
		second.CloseWrite()
		if got := readAll(t, second); got != "hello" {
			t.Errorf("the other connection read %q", got)
		}
	})
}

func TestDetachAttach(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, o poll.Options) {
		type handed struct {
			nc  net.Conn
			got string
		}
		detached := make(chan handed, 1)
		p := newPeer(func(p *peer, b []byte) {
			nc, err := p.t.Detach()
			if err != nil {
				t.Error(err)
			}
			detached <- handed{nc, string(b)}
		})
		g, addr := serve(t, o, p.accept)
		c := dial(t, addr)
		c.Write([]byte("to net/http"))
		h := receive(t, detached)
		if h.got != "to net/http" {
			t.Errorf("got %q", h.got)
		}
		waitEmpty(t, g)
		fmt.Fprint(h.nc, "from net/http;")
		if err := g.Attach(h.nc, acceptEcho); err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("and back"))
		c.CloseWrite()
		if got := readAll(t, c); got != "from net/http;and back" {
			t.Errorf("read %q", got)
		}
	})
}

// A pump that still has bytes of ours cannot be handed over; a socket never has any.
func TestDetachWithBytesWaiting(t *testing.T) {
	t.Parallel()
	result := make(chan error, 1)
	p := newPeer(func(p *peer, b []byte) {
		big := make([]byte, 16<<20) // more than the system takes of a peer that does not read
		for n := 1; n > 0; {
			n, _ = p.t.Write(big)
		}
		_, err := p.t.Detach()
		result <- err
		p.t.Abort()
	})
	_, addr := serve(t, poll.Options{Loops: 2, Mode: poll.Goroutine}, p.accept)
	dial(t, addr).Write([]byte("x"))
	if err := receive(t, result); !errors.Is(err, poll.ErrDetach) {
		t.Errorf("got %v, want ErrDetach", err)
	}
}

func TestRemoteAddr(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, o poll.Options) {
		addrs := make(chan [2]netip.AddrPort, 1)
		_, addr := serve(t, o, func(tr poll.Transport, from netip.AddrPort) {
			addrs <- [2]netip.AddrPort{from, tr.RemoteAddr()}
		})
		c := dial(t, addr)
		want := c.LocalAddr().(*net.TCPAddr).AddrPort()
		if got := receive(t, addrs); got[0] != want || got[1] != want {
			t.Errorf("got %v, want %v", got, want)
		}
		if got := readAll(t, c); got != "" { // no handler: closed
			t.Errorf("read %q", got)
		}
	})
}

// TestSpread: connections are shared out evenly whichever loop accepts them.
func TestSpread(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, o poll.Options) {
		o.Loops = 4
		g, addr := serve(t, o, acceptEcho)
		const n = 400
		for range n {
			dial(t, addr)
		}
		eventually.True(t, "all are counted", func() bool { return total(g) == n })
		for _, l := range g.Loops() {
			if got := l.Load(); got < n/4-20 || got > n/4+20 {
				t.Errorf("loop %d has %d of %d connections", l.Index(), got, n)
			}
		}
	})
}

// TestNoLeak: descriptors come back, whatever ended the connection.
func TestNoLeak(t *testing.T) { // not parallel: it counts the process's descriptors
	if runtime.GOOS != "linux" {
		t.Skip("counts /proc/self/fd")
	}
	for _, m := range []poll.Mode{poll.Epoll, poll.Goroutine} {
		t.Run(string(m), func(t *testing.T) {
			before := descriptors(t)
			t.Run("serve", func(t *testing.T) {
				var n atomic.Int64
				_, addr := serve(t, poll.Options{Loops: 2, Mode: m, Tick: 10 * time.Millisecond}, func(tr poll.Transport, from netip.AddrPort) {
					i := n.Add(1)
					p := newPeer(func(p *peer, b []byte) {
						switch i % 4 {
						case 0:
							p.t.Close()
						case 1:
							p.t.Abort()
						case 2:
							poll.Linger(p.t, 20*time.Millisecond)
						}
					})
					p.accept(tr, from)
				})
				for range 40 {
					dial(t, addr).Write([]byte("x"))
				}
				eventually.True(t, "all have been accepted", func() bool { return n.Load() == 40 })
			})
			eventually.True(t, "the descriptors are closed", func() bool { return descriptors(t) <= before })
		})
	}
}

// TestIdleGoroutines: on the epoll path a connection has no goroutine.
func TestIdleGoroutines(t *testing.T) { // not parallel: it counts goroutines
	if runtime.GOOS != "linux" {
		t.Skip("there is no epoll here")
	}
	g, addr := serve(t, poll.Options{Loops: 2, Mode: poll.Epoll}, acceptEcho)
	before := runtime.NumGoroutine()
	for range 200 {
		dial(t, addr)
	}
	eventually.True(t, "all are counted", func() bool { return total(g) == 200 })
	if got := runtime.NumGoroutine() - before; got > 10 {
		t.Errorf("%d goroutines for 200 connections", got)
	}
}

func descriptors(tb testing.TB) int {
	tb.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	n := 0
	for _, e := range d {
		if dest, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.Contains(dest, "/proc/") {
			n++
		}
	}
	return n
}

func total(g *poll.Group) int {
	n := 0
	for _, l := range g.Loops() {
		n += l.Load()
	}
	return n
}

func waitEmpty(tb testing.TB, g *poll.Group) {
	tb.Helper()
	eventually.True(tb, "no conn is left", func() bool { return total(g) == 0 })
}
