// Package engine is the server side of Engine.IO: sessions over a WebSocket or over
// long-polling, and the change from one to the other. Below, each session is a
// conn.Conn like those of the native door: long-polling is a transport that takes
// what is written when a request waits for it. Above, a [Handler] gets messages.
package engine

import (
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/codec/engineio"
	"github.com/confab-chat/confab/services/edge/internal/listen/origin"
	"github.com/confab-chat/confab/services/edge/internal/socketio/peers"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// Handler is what runs over a session. All calls come on the session's loop.
type Handler interface {
	// Opened is the first call, behind the open packet.
	Opened(*Socket)
	// Message brings a message's data, which is valid during the call only. Text is
	// valid UTF-8.
	Message(s *Socket, binary bool, data []byte)
	// Heartbeat comes each Options.Heartbeat.
	Heartbeat(*Socket)
	// Drained comes once after each NotifyDrained.
	Drained(*Socket)
	// Closed comes once, last, never from inside a call of one of the Socket's methods.
	Closed(*Socket, conn.Cause)
}

// Request is what is known of a client that asks for a session.
type Request struct {
	Loop  *poll.Loop
	Token string // of a header or the query; empty for none; never log it
}

// Options of a Server. All but Peers, Admit and Logger are required.
type Options struct {
	Path        string
	Loops       []*poll.Loop
	Conn        conn.Options // heartbeats and stalls apart, which are the engine's
	PingTimeout time.Duration
	// PingInterval is the time between pings; who does not answer within PingTimeout
	// has gone.
	PingInterval time.Duration
	Heartbeat    time.Duration // see Handler
	MaxPayload   int           // bytes of a request's body
	Origins      origin.List
	Open         func(Request) Handler
	// Peers asks the other edges; nil when there are none.
	Peers *peers.Peers
	// Admit is asked before a session over long-polling is opened; leave is called
	// at its end. Default: all are welcome.
	Admit func(netip.Addr) (leave func(), no *code.Error)
	// QueryToken says that ?token= counts.
	QueryToken bool
	Logger     *slog.Logger // discards
}

// upgradeTimeout is how long a WebSocket may be tried before the session changes to
// it. The session goes on without.
const upgradeTimeout = 10 * time.Second

// Server makes sessions on one path. Its exported methods are safe for concurrent use.
type Server struct {
	Options  // static
	locals   []*local
	sessions registry
	next     atomic.Uint32 // loop of the next session over long-polling
}

// local is the server's part on one loop, owned by it.
type local struct {
	server *Server // static
	loop   *poll.Loop
	set    *conn.Set // of long-polling
	stats  conn.Stats

	ping, pong []byte // frames
}

// New returns a server without sessions. It is made before the loops run.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Admit == nil {
		o.Admit = func(netip.Addr) (func(), *code.Error) { return func() {}, nil }
	}
	s := &Server{Options: o, sessions: registry{byID: make(map[string]*Socket)}}
	polling := o.Conn
	polling.Heartbeat = -1
	polling.Stall = o.PingTimeout + o.PingInterval // who asks for nothing has gone, not slowed down
	for _, l := range o.Loops {
		local := &local{
			server: s, loop: l,
			ping: ws.AppendFrame(nil, ws.OpText, []byte{byte(engineio.Ping)}),
			pong: ws.AppendFrame(nil, ws.OpText, []byte(string(engineio.Pong)+engineio.Probe)),
		}
		local.set = conn.NewSet(l, polling, &local.stats)
		l.AtEnd(local.end)
		s.locals = append(s.locals, local)
	}
	if o.Peers != nil {
		o.Peers.OnPoll(s.polled)
	}
	return s
}

// ConnStats are the counters of the sessions over long-polling, one for each loop.
func (s *Server) ConnStats() []*conn.Stats {
	all := make([]*conn.Stats, len(s.locals))
	for i, l := range s.locals {
		all[i] = &l.stats
	}
	return all
}

// end gives up the sessions whose transport the loop does not know.
func (l *local) end() {
	for _, s := range l.server.sessions.of(l.loop) {
		s.polling.fail(poll.ErrStopped)
	}
}

// newID is a session's id: 128 random bits, which are all that guards it, and the
// token of the edge that has it.
func (s *Server) newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it does not fail
	id := base64.RawURLEncoding.EncodeToString(b[:])
	if s.Peers != nil {
		id += s.Peers.Token()
	}
	return id
}

// idLength is the length of an id without the edge's token.
const idLength = 22

// edgeOf is the token of the edge that has the session; empty for none.
func edgeOf(sid string) string {
	if len(sid) <= idLength {
		return ""
	}
	return sid[idLength:]
}

// newSocket returns a session that has no connection yet.
func (l *local) newSocket(token string) *Socket {
	s := &Socket{local: l, handler: l.server.Open(Request{Loop: l.loop, Token: token})}
	s.alarm.Owner = s
	return s
}
