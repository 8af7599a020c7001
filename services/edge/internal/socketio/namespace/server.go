// Package namespace is the server side of Socket.IO over one connection of Engine.IO:
// it lets clients into namespaces, each with a session of its own, puts packets with
// attachments together, and gives a client that comes back its session again. In
// conformance mode some namespaces are bare: they answer what the public protocol
// suite expects.
package namespace

import (
	"log/slog"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/codec/socketio"
	"github.com/confab-chat/confab/services/edge/internal/session"
	"github.com/confab-chat/confab/services/edge/internal/socketio/engine"
	"github.com/confab-chat/confab/services/edge/internal/socketio/peers"
)

// Namespace is one that clients may join.
type Namespace struct {
	socketio.Codec
	Place uint8 // of the codec as its sessions use it, escaped if texts are to be
	Bare  bool  // it serves the protocol suite, not the contract
	Echo  bool  // when Bare: it answers events
}

// Options of a Server. Without default: all but Peers and Logger.
type Options struct {
	Core           *session.Core
	Verifier       auth.Verifier
	Namespaces     []Namespace
	ConnectTimeout time.Duration // from the connection to the first namespace
	Peers          *peers.Peers  // nil: sessions are recovered on this edge only
	Logger         *slog.Logger  // discards
}

// Server makes the clients. Safe for concurrent use.
type Server struct {
	Options // static
	tickets tickets
}

// New returns a server without clients.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{Options: o, tickets: tickets{byPID: make(map[string]*ticket)}}
	if o.Peers != nil {
		o.Peers.OnRecover(s.give)
	}
	return s
}

// Open makes the handler of a connection.
func (s *Server) Open(r engine.Request) engine.Handler {
	return &Client{server: s, token: r.Token}
}

// find returns nil when there is no namespace of that name.
func (s *Server) find(name string) *Namespace {
	for i := range s.Namespaces {
		if s.Namespaces[i].Namespace == name {
			return &s.Namespaces[i]
		}
	}
	return nil
}
