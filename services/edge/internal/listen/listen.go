// Package listen is the edge's public listener: it reads the head of a request
// within limits of bytes, lines and time, answers WebSocket upgrades on the
// event loops, without a goroutine, and hands everything else to net/http.
package listen

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/tlsio"
	"github.com/confab-chat/confab/shared/origin"
)

// Handshake is a WebSocket upgrade that passed every check of this package.
type Handshake struct {
	Loop        *poll.Loop
	Path        string
	Query       string        // raw; may hold a token: never log it
	Origin      string        // empty: not a browser
	Subprotocol string        // the selected one, empty when the client offered none of ours
	Token       string        // as found; never log it
	Identity    auth.Identity // zero unless the route authenticates
	Remote      netip.AddrPort
}

// Gate decides about an upgrade, on the loop that will own the connection: it
// returns the connection's handler, or a refusal: a *code.Error or an *Answer. It
// must not block, and must not keep the Handshake.
type Gate func(*Handshake) (conn.Handler, error)

// Answer is a refusal in the route's own protocol.
type Answer struct {
	Status int    // of HTTP
	Body   []byte // JSON
}

// Error implements error.
func (a *Answer) Error() string { return string(a.Body) }

// Route is a path that accepts WebSockets.
type Route struct {
	Path string // exact
	// Only refuses requests that are not upgrades. Without it they go to
	// Options.HTTP.
	Only bool
	// Verifier checks the token before the upgrade; nil leaves that to the
	// protocol inside.
	Verifier auth.Verifier
	// Subprotocol is selected when it is offered; empty selects none.
	Subprotocol string
	Gate        Gate
	// Home returns the loop that must own a connection with that query, nil when
	// any loop may. It may be called from any loop.
	Home func(query string) *poll.Loop
	Conn conn.Options
}

// PerIP limits one address (IPv4) or network (IPv6 /64); 0 is off. The TCP
// peer counts, because any client can write forwarding headers.
type PerIP struct {
	Connections int // WebSockets open; more are answered 429
	Pending     int // connections whose handshake is not done; more are answered 429
}

// Options of a Server. Zero means the default given in the field's comment.
type Options struct {
	Group            *poll.Group
	Routes           []Route
	HTTP             http.Handler  // everything else; default 404
	Origins          origin.List   // for upgrades
	HandshakeTimeout time.Duration // 5 s from accept to a whole request head
	Pending          int           // 16 384 connections whose handshake is not done
	Rate             float64       // upgrades a second; 0 is off
	Burst            int           // upgrades at once; default 2 s of Rate
	PerIP            PerIP
	MaxConnections   int           // of all kinds; 0 is off
	AllowQueryToken  bool          // accept ?token=
	IdleTimeout      time.Duration // 75 s between requests on a kept-alive HTTP connection
	MaxHTTP          int           // 16 384 connections served by net/http
	TLS              *tls.Config   // nil: plain
	Logger           *slog.Logger  // discards
}

func (o Options) withDefaults() Options {
	if o.HTTP == nil {
		o.HTTP = http.NotFoundHandler()
	}
	o.HandshakeTimeout = cmp.Or(o.HandshakeTimeout, 5*time.Second)
	o.Pending = cmp.Or(o.Pending, 16384)
	o.Burst = cmp.Or(o.Burst, max(1, int(2*o.Rate)))
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 75*time.Second)
	o.MaxHTTP = cmp.Or(o.MaxHTTP, 16384)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	return o
}

// ErrRoute is returned by New for a route without a path or gate, and for a
// duplicate path.
var ErrRoute = errors.New("bad route")

// Server is the public listener. Its exported methods are safe for concurrent use.
type Server struct {
	// Static.
	options Options
	routes  map[string]int // path to index of Options.Routes
	locals  []*local       // by loop
	http    *httpServer
	rate    *rate.Limiter // of upgrades
	ips     *addresses    // nil when PerIP is off

	stats    Stats
	pending  atomic.Int64 // connections whose handshake is not done
	draining atomic.Bool
}

// New returns a server that accepts no connections yet. It may return ErrRoute.
func New(o Options) (*Server, error) {
	o = o.withDefaults()
	s := &Server{options: o, routes: make(map[string]int), rate: newRate(o.Rate, o.Burst)}
	for i, r := range o.Routes {
		if _, twice := s.routes[r.Path]; twice || r.Path == "" || r.Gate == nil {
			return nil, fmt.Errorf("route %q: %w", r.Path, ErrRoute)
		}
		s.routes[r.Path] = i
	}
	if o.PerIP != (PerIP{}) {
		s.ips = newAddresses(o.PerIP)
	}
	s.http = newHTTPServer(s)
	for _, l := range o.Group.Loops() {
		s.locals = append(s.locals, newLocal(s, l))
	}
	return s, nil
}

// Serve accepts connections from ln until the group ends or ln is closed. It owns
// ln.
func (s *Server) Serve(ln net.Listener) error {
	g, accept := s.options.Group, poll.Acceptor(s.accept)
	switch config := s.options.TLS; {
	case config == nil:
	case g.Epoll():
		accept = tlsio.Acceptor(config, len(g.Loops()), accept)
	default:
		ln = tls.NewListener(ln, config)
	}
	_, err := g.Listen(ln, accept)
	return err
}

// Run serves HTTP until ctx ends. WebSockets live on the group's loops: keep Run
// running until those have ended.
func (s *Server) Run(ctx context.Context) error { return s.http.run(ctx) }

// Drain makes the server answer every later upgrade with 503 and a Retry-After of
// 1 to 10 s. Open connections stay, and HTTP is still served.
func (s *Server) Drain() { s.draining.Store(true) }

// Stats returns the counters of the server.
func (s *Server) Stats() *Stats { return &s.stats }

// Pending returns the number of connections whose handshake is not done.
func (s *Server) Pending() int64 { return s.pending.Load() }

// ConnStats returns the counters of the connections, one for each loop.
func (s *Server) ConnStats() []*conn.Stats {
	all := make([]*conn.Stats, len(s.locals))
	for i, l := range s.locals {
		all[i] = &l.stats
	}
	return all
}

// full reports whether the edge holds as many connections as it may.
func (s *Server) full() bool {
	if s.options.MaxConnections == 0 {
		return false
	}
	n := 0
	for _, l := range s.options.Group.Loops() {
		n += l.Load()
	}
	return n > s.options.MaxConnections
}

// local is the server's part on one loop, owned by it.
type local struct {
	server    *Server
	loop      *poll.Loop
	conns     []*conn.Factory // by route
	stats     conn.Stats
	handshake Handshake // the one being decided, reused
}

func newLocal(s *Server, loop *poll.Loop) *local {
	l := &local{server: s, loop: loop}
	for _, r := range s.options.Routes {
		l.conns = append(l.conns, conn.NewFactory(loop, r.Conn, &l.stats))
	}
	return l
}
