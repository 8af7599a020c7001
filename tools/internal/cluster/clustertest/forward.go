package clustertest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/confab-chat/confab/tools/internal/cluster"
)

// dialTimeout is short: edges of tests are on this machine.
const dialTimeout = time.Second

// Forwarder forwards connections to edges, until the test ends. Its methods may be called
// concurrently.
type Forwarder struct {
	Addr   string        // static
	target func() string // static; returns the address for a new connection, empty to refuse it

	mu    sync.Mutex // guards the following
	to    string     // the address of Forward or Cut
	conns map[net.Conn]struct{}
	ended bool
}

// Forward forwards all connections to one address, until [Forwarder.Cut] changes it.
func Forward(tb testing.TB, to string) *Forwarder {
	tb.Helper()
	f := &Forwarder{to: to}
	f.target = func() string {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.to
	}
	f.listen(tb)
	return f
}

// probePeriod is the time between two probes of a balancer.
const probePeriod = 500 * time.Millisecond

// Balance forwards each connection to the next edge that is ready, as a load balancer does. It
// probes the edges every half second.
func Balance(tb testing.TB, edges ...*cluster.Part) *Forwarder {
	tb.Helper()
	var mu sync.Mutex
	var ready []string // guarded by mu
	next := 0          // guarded by mu
	probe := func() {
		var now []string
		for _, p := range edges {
			if status, _, err := cluster.Get(context.Background(), "http://"+p.Admin+"/readyz"); err == nil && status == 200 {
				now = append(now, p.Public)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		ready = now
	}
	f := &Forwarder{target: func() string {
		mu.Lock()
		defer mu.Unlock()
		if len(ready) == 0 {
			return ""
		}
		next++
		return ready[next%len(ready)]
	}}
	probe()
	done := make(chan struct{})
	var probing sync.WaitGroup
	probing.Go(func() {
		tick := time.NewTicker(probePeriod)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				probe()
			}
		}
	})
	tb.Cleanup(func() { close(done); probing.Wait() })
	f.listen(tb)
	return f
}

// URL returns the URL of WebSockets.
func (f *Forwarder) URL() string { return "ws://" + f.Addr + "/ws" }

// Cut resets all connections of a Forwarder of [Forward]. It forwards new ones to another address.
func (f *Forwarder) Cut(to string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to = to
	f.closeAll()
}

// closeAll resets all connections. The caller holds mu.
func (f *Forwarder) closeAll() {
	for c := range f.conns {
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
		c.Close()
	}
}

// listen accepts connections until the test ends.
func (f *Forwarder) listen(tb testing.TB) {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	f.Addr, f.conns = ln.Addr().String(), make(map[net.Conn]struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return // the listener is closed
			}
			running.Go(func() { f.forward(in) })
		}
	})
	tb.Cleanup(func() {
		ln.Close()
		f.mu.Lock()
		f.ended = true
		f.closeAll()
		f.mu.Unlock()
		running.Wait()
	})
}

func (f *Forwarder) forward(in net.Conn) {
	if !f.addConn(in) {
		return
	}
	defer f.closeConn(in)
	to := f.target()
	if to == "" {
		return
	}
	out, err := net.DialTimeout("tcp", to, dialTimeout)
	if err != nil || !f.addConn(out) {
		return
	}
	defer f.closeConn(out)
	var both sync.WaitGroup
	both.Go(func() { copyAll(out, in) })
	both.Go(func() { copyAll(in, out) })
	both.Wait()
}

// addConn adds a connection that Cut and the end of the test close. It closes c and reports false
// when the test has ended.
func (f *Forwarder) addConn(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		c.Close()
		return false
	}
	f.conns[c] = struct{}{}
	return true
}

func (f *Forwarder) closeConn(c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, c)
	c.Close()
}

// copyAll closes both connections when one has ended.
func copyAll(dst, src net.Conn) {
	_, _ = io.Copy(dst, src) // either end may be closed at any time
	dst.Close()
	src.Close()
}
