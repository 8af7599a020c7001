// Package engine is the server side of Engine.IO: sessions over a WebSocket or over
// long-polling, and the upgrade from long-polling to a WebSocket. Below a session is a
// conn.Conn, as for native clients: long-polling is a transport that writes when a GET
// waits. Above it is a [Handler], which receives messages.
package engine

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/engineio"
	"github.com/confab-chat/confab/services/edge/internal/socketio/peers"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
	"github.com/confab-chat/confab/shared/origin"
)

// Handler uses a session. All calls come on the session's loop.
type Handler interface {
	// Opened is the first call, after the open packet was queued.
	Opened(*Socket)
	// Message brings a message's data, which is valid during the call only. Text is
	// valid UTF-8.
	Message(s *Socket, binary bool, data []byte)
	// Heartbeat comes once each Options.Heartbeat.
	Heartbeat(*Socket)
	// Drained comes once after each NotifyDrained.
	Drained(*Socket)
	// Closed is the last call, once, and never from inside one of the Socket's methods.
	Closed(*Socket, conn.Cause)
}

// Request is what a client that asks for a session has sent.
type Request struct {
	Loop  *poll.Loop
	Token string // from the Authorization header or the query; empty for none; never logged
}

// Options of a Server. All but Peers and Admit are required.
type Options struct {
	Path        string
	Loops       []*poll.Loop
	Conn        conn.Options // except Heartbeat and Stall, which follow from the pings
	PingTimeout time.Duration
	// PingInterval is the time between pings. A session whose client does not answer
	// within PingTimeout is closed.
	PingInterval time.Duration
	Heartbeat    time.Duration // see Handler
	MaxPayload   int           // bytes of a request's body
	Origins      origin.List
	Open         func(Request) Handler
	// Peers reaches the other edges; nil when there are none.
	Peers *peers.Peers
	// Admit is asked before a session over long-polling is opened; release is called
	// when that transport ends. Default: every client is admitted.
	Admit func(netip.Addr) (release func(), refusal *code.Error)
	// QueryToken allows a token in the query: ?token=.
	QueryToken bool
}

// upgradeTimeout is how long a probe may take to become the session's WebSocket. After
// it the probe is closed and the session continues over long-polling.
const upgradeTimeout = 10 * time.Second

// Server opens sessions on one path. Its exported methods may be called concurrently.
type Server struct {
	// Static.
	Options
	locals []*local

	opened atomic.Uint32 // sessions over long-polling; chooses the next one's loop

	sessions sync.Map // over long-polling, by id: string to *Socket
}

// local is the server's part on one loop.
type local struct {
	// Static.
	server      *Server
	loop        *poll.Loop
	connections *conn.Factory // over long-polling
	ping, pong  []byte        // frames

	stats conn.Stats // written by the loop
}

// New returns a server without sessions. It is called before the loops run.
func New(o Options) *Server {
	if o.Admit == nil {
		o.Admit = func(netip.Addr) (func(), *code.Error) { return func() {}, nil }
	}
	s := &Server{Options: o}
	polling := o.Conn
	polling.Heartbeat = -1
	// A client that sends no GET for so long has gone: it is not a slow consumer.
	polling.Stall = o.PingTimeout + o.PingInterval
	for _, loop := range o.Loops {
		l := &local{
			server: s, loop: loop,
			ping: ws.AppendFrame(nil, ws.OpText, []byte{byte(engineio.Ping)}),
			pong: ws.AppendFrame(nil, ws.OpText, []byte(string(engineio.Pong)+engineio.Probe)),
		}
		l.connections = conn.NewFactory(loop, polling, &l.stats)
		loop.OnStop(l.endPolling)
		s.locals = append(s.locals, l)
	}
	return s
}

// ConnStats returns the counters of the sessions over long-polling, one for each loop.
func (s *Server) ConnStats() []*conn.Stats {
	all := make([]*conn.Stats, len(s.locals))
	for i, l := range s.locals {
		all[i] = &l.stats
	}
	return all
}

// endPolling ends the loop's sessions over long-polling. The loop does not know their
// transports and cannot end them.
func (l *local) endPolling() {
	l.server.sessions.Range(func(_, socket any) bool {
		if s := socket.(*Socket); s.local == l {
			s.polling.fail(poll.ErrStopped)
		}
		return true
	})
}

// find returns the session over long-polling with that id, or nil.
func (s *Server) find(sid string) *Socket {
	found, _ := s.sessions.Load(sid)
	socket, _ := found.(*Socket)
	return socket
}

// newSocket returns a session that has no connection yet.
func (l *local) newSocket(token string) *Socket {
	s := &Socket{local: l, handler: l.server.Open(Request{Loop: l.loop, Token: token})}
	s.timer.Owner = s
	return s
}
