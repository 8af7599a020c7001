package natstest

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/shared/freeport"
)

// FreeAddr returns an address of this machine on which no process listens, for a program that
// the test starts. See [freeport.Addr].
func FreeAddr(tb testing.TB) string {
	tb.Helper()
	addr, err := freeport.Addr()
	if err != nil {
		tb.Fatal(err)
	}
	return addr
}

// dialTimeout is short: servers of tests are on this machine.
const dialTimeout = time.Second

// Remote returns a provider of connections to a server that listens on addr, to put a
// [Gate] in front of it.
func Remote(addr string) nats.InProcessConnProvider { return remote(addr) }

type remote string

// InProcessConn returns a new connection to the server.
func (r remote) InProcessConn() (net.Conn, error) {
	return net.DialTimeout("tcp", string(r), dialTimeout)
}

// Listen makes the gate listen on an address for other processes, until the test ends.
func (g *Gate) Listen(tb testing.TB) (addr string) {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			out, err := ln.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				wg.Go(func() { g.carry(out) })
			}
		}
	})
	tb.Cleanup(func() {
		ln.Close()
		g.Cut() // ends what is carried
		wg.Wait()
	})
	return ln.Addr().String()
}

// carry connects out through the gate until either end is closed.
func (g *Gate) carry(out net.Conn) {
	defer out.Close()
	in, err := g.InProcessConn()
	if err != nil {
		return // out is closed: refused
	}
	var both sync.WaitGroup
	pass := func(dst, src net.Conn) {
		_, _ = io.Copy(dst, src) // either end may go at any time
		dst.Close()
		src.Close()
	}
	both.Go(func() { pass(in, out) })
	both.Go(func() { pass(out, in) })
	both.Wait()
}
