package proc

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Balancer forwards connections to whichever edge is ready, as a load balancer does.
type Balancer struct {
	Addr    string  // static
	backend []*Part // static

	mu      sync.Mutex // guards the following
	ready   []bool
	next    int
	conns   map[net.Conn]struct{}
	closing bool
}

// Balance runs a balancer until the test ends. Every half second it looks who is ready.
func Balance(tb testing.TB, edges ...*Part) *Balancer {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	b := &Balancer{Addr: ln.Addr().String(), backend: edges, ready: make([]bool, len(edges)), conns: make(map[net.Conn]struct{})}
	b.look()
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				b.look()
			}
		}
	})
	running.Go(func() {
		for {
			in, err := ln.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				running.Go(func() { b.forward(in) })
			}
		}
	})
	tb.Cleanup(func() {
		close(done)
		ln.Close()
		b.mu.Lock()
		b.closing = true
		for c := range b.conns {
			c.Close()
		}
		b.mu.Unlock()
		running.Wait()
	})
	return b
}

// URL is its native door.
func (b *Balancer) URL() string { return "ws://" + b.Addr + "/ws" }

func (b *Balancer) look() {
	for i, p := range b.backend {
		status, _, err := Get("http://" + p.Admin + "/readyz")
		b.mu.Lock()
		b.ready[i] = err == nil && status == 200
		b.mu.Unlock()
	}
}

// pick is the next edge that is ready, nil without one.
func (b *Balancer) pick() *Part {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.backend {
		b.next = (b.next + 1) % len(b.backend)
		if b.ready[b.next] {
			return b.backend[b.next]
		}
	}
	return nil
}

// hold keeps a connection, so that the end of the test can close it.
func (b *Balancer) hold(c net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		c.Close()
		return false
	}
	b.conns[c] = struct{}{}
	return true
}

func (b *Balancer) drop(c net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, c)
	c.Close()
}

func (b *Balancer) forward(in net.Conn) {
	if !b.hold(in) {
		return
	}
	defer b.drop(in)
	p := b.pick()
	if p == nil {
		return
	}
	out, err := net.DialTimeout("tcp", p.Public, time.Second)
	if err != nil || !b.hold(out) {
		return
	}
	defer b.drop(out)
	var both sync.WaitGroup
	both.Go(func() { copyAll(out, in) })
	both.Go(func() { copyAll(in, out) })
	both.Wait()
}

// copyAll ends both ways when one has ended.
func copyAll(dst, src net.Conn) {
	_, _ = io.Copy(dst, src) // either end may go at any time
	dst.Close()
	src.Close()
}
