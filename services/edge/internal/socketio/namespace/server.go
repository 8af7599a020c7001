// Package namespace is the server side of Socket.IO over one Engine.IO connection. It
// admits clients to namespaces, each with a session of its own, assembles packets with
// their attachments, and recovers the session of a client that reconnects. In
// conformance mode a namespace may be Bare: without a session, it answers what the public
// protocol suite expects.
package namespace

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/codec/sio"
	"github.com/confab-chat/confab/services/edge/internal/session"
	"github.com/confab-chat/confab/services/edge/internal/socketio/engine"
	"github.com/confab-chat/confab/services/edge/internal/socketio/peers"
)

// Namespace is one that clients may join.
type Namespace struct {
	sio.Codec
	Place uint8 // index of the codec in session.Options.Codecs, for its sessions
	Bare  bool  // it serves the protocol suite, not the contract
	Echo  bool  // when Bare: it echoes events
}

// Options of a Server. All but Peers and Logger are required.
type Options struct {
	Core           *session.Core
	Verifier       auth.Verifier
	Namespaces     []Namespace
	ConnectTimeout time.Duration // from the connection to the first namespace
	Peers          *peers.Peers  // nil: only this edge's sessions can be recovered
	Logger         *slog.Logger  // default: discards
}

// Server creates the clients. Its methods may be called concurrently.
type Server struct {
	Options      // static
	recoverables recoverables
	recoveries   chan struct{} // holds one token for each recovery in progress
}

// New returns a server without clients.
func New(o Options) *Server {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	return &Server{
		Options: o, recoverables: recoverables{byPID: make(map[string]*recoverable)},
		recoveries: make(chan struct{}, maxRecoveries),
	}
}

// Open returns the handler of a connection.
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
