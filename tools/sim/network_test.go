package sim_test

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/test/bufconn"

	"github.com/confab-chat/confab/shared/natstest"
)

// gate is the way from a process to NATS. While its bytes are held back it refuses connections:
// nats.go holds a mutex while it waits for the server's greeting, and time stands still in a
// bubble in which a goroutine waits for a mutex.
type gate struct {
	*natstest.Gate
	hung atomic.Bool
}

var errHung = errors.New("the gate is hung")

// InProcessConn implements nats.InProcessConnProvider.
func (g *gate) InProcessConn() (net.Conn, error) {
	if g.hung.Load() {
		return nil, errHung
	}
	return g.Gate.InProcessConn()
}

// hang holds back the bytes in direction d, when no greeting is on its way.
func (g *gate) hang(d natstest.Direction) {
	g.hung.Store(true)
	synctest.Wait()
	g.Blackhole(d)
}

// heal ends cut and hang.
func (g *gate) heal() {
	g.hung.Store(false)
	g.Open()
}

// pipeBytes is how much a connection holds in each direction, as socket buffers do.
const pipeBytes = 256 << 10

// listener is a listener in memory whose connections can be cut all at once.
type listener struct {
	*bufconn.Listener

	mu       sync.Mutex // guards the following
	accepted []net.Conn
	cut      bool
}

func newListener() *listener { return &listener{Listener: bufconn.Listen(pipeBytes)} }

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, net.ErrClosed
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		nc.Close()
	}
	l.accepted = append(l.accepted, nc)
	return nc, nil
}

// kill closes the listener and all its connections, as the kernel does for a killed process.
func (l *listener) kill() {
	l.Listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for _, nc := range l.accepted {
		nc.Close()
	}
}

// sleep lets d of virtual time pass.
func (w *world) sleep(d time.Duration) { time.Sleep(d) }
