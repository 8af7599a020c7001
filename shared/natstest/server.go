// Package natstest runs nats-server with JetStream inside a test: no port, no
// installed binary, ready in milliseconds, one server for each test.
//
//	srv := natstest.Start(t)
//	nc := srv.Conn(t)        // fails the test on asynchronous errors, closed at its end
//	srv.Restart(t)           // same store; connections reconnect
//	gate := srv.Gate(t)      // connections through it can be cut, blocked, delayed
//	tap := srv.Tap(t)        // records the subjects of all messages
//
// [VirtualTime] runs all of that in a synctest bubble: a test about time waits for nothing there.
//
// [StartCluster] runs several routed servers. Ordering and compare-and-set must
// be tested there too: one server accepts what three replicas refuse.
//
// Only tests may import this package.
package natstest

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/shared/freeport"
)

// startTimeout is long: the machine may be busy with other tests.
const startTimeout = 20 * time.Second

var errStopped = errors.New("natstest: server is stopped")

// Server is an embedded nats-server that can be stopped and started again. It
// implements [nats.InProcessConnProvider]: a connection made through it reconnects after
// Restart. Its methods may be called concurrently.
type Server struct {
	opts *server.Options // static: a template, cloned for every start

	mu  sync.Mutex     // guards srv
	srv *server.Server // nil while stopped
}

// Start runs a server with JetStream in a temporary folder until the test ends. It listens
// on no port. configure may change its options first.
func Start(tb testing.TB, configure ...func(*server.Options)) *Server {
	tb.Helper()
	opts := &server.Options{
		ServerName: "natstest",
		DontListen: true,
		JetStream:  true,
		StoreDir:   tb.TempDir(),
		NoLog:      true,
		NoSigs:     true,
	}
	for _, change := range configure {
		change(opts)
	}
	s := &Server{opts: opts}
	s.start(tb)
	tb.Cleanup(s.Stop)
	return s
}

// Listen makes the server listen on a port of 127.0.0.1, the same after each
// Restart, for tests that start processes. See [Server.URL].
func Listen(o *server.Options) {
	port, err := freeport.Port()
	if err != nil {
		port = server.RANDOM_PORT
	}
	o.DontListen, o.Host, o.Port = false, "127.0.0.1", port
}

// Durable makes the server sync every message to disk before it acknowledges, as
// CONFAB_DURABILITY=durable does.
func Durable(o *server.Options) { o.SyncAlways = true }

func (s *Server) start(tb testing.TB) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv != nil {
		return
	}
	srv, err := server.NewServer(s.opts.Clone())
	if err != nil {
		tb.Fatalf("new nats-server: %v", err)
	}
	srv.Start()
	if !srv.ReadyForConnections(startTimeout) {
		srv.Shutdown()
		tb.Fatalf("nats-server not ready after %s", startTimeout)
	}
	if addr, ok := srv.Addr().(*net.TCPAddr); ok && !s.opts.DontListen {
		s.opts.Port = addr.Port // keep it over restarts
	}
	s.srv = srv
}

// Stop shuts the server down and waits for it; connections start to reconnect.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv == nil {
		return
	}
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
	s.srv = nil
}

// Restart stops the server and starts it on the same store and address.
// Memory streams are empty afterwards.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.Stop()
	s.start(tb)
}

// Running reports whether the server is up.
func (s *Server) Running() bool { return s.NATS() != nil }

// NATS returns the running server; nil while it is stopped.
func (s *Server) NATS() *server.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.srv
}

// URL returns the URL of a server started with [Listen]; else it is empty.
func (s *Server) URL() string {
	if srv := s.NATS(); srv != nil && !s.opts.DontListen {
		return srv.ClientURL()
	}
	return ""
}

// InProcessConn returns a new pipe to the server, or an error while it is stopped.
func (s *Server) InProcessConn() (net.Conn, error) {
	srv := s.NATS()
	if srv == nil {
		return nil, errStopped
	}
	return srv.InProcessConn()
}

// Conn returns a connection that is closed when the test ends, see [Conn].
func (s *Server) Conn(tb testing.TB, opts ...nats.Option) *nats.Conn {
	tb.Helper()
	return Conn(tb, s, opts...)
}

// Gate returns a gate in front of the server.
func (s *Server) Gate(tb testing.TB) *Gate {
	tb.Helper()
	return NewGate(tb, s)
}

// Tap starts to record the subjects of all published messages.
func (s *Server) Tap(tb testing.TB) *Tap {
	tb.Helper()
	return newTap(tb, s)
}
