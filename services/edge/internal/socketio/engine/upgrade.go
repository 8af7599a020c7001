package engine

import (
	"net/url"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/codec/engineio"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// Transports, as they are named in the query.
const (
	transportPolling   = "polling"
	transportWebSocket = "websocket"
)

// Home is the loop that must own a WebSocket with this query: that of the session
// which it is for. Nil when any will do.
func (s *Server) Home(query string) *poll.Loop {
	q, err := url.ParseQuery(query)
	if err != nil || !q.Has("sid") {
		return nil
	}
	if socket := s.sessions.find(q.Get("sid")); socket != nil {
		return socket.local.loop
	}
	return nil
}

// Gate decides about a WebSocket, on the loop that owns it. The error is an
// engineio.Fault.
func (s *Server) Gate(l *poll.Loop, query, token string) (conn.Handler, error) {
	q, err := url.ParseQuery(query)
	switch {
	case err != nil:
		return nil, engineio.BadRequest
	case q.Get("transport") != transportWebSocket:
		if q.Get("transport") == transportPolling {
			return nil, engineio.BadRequest
		}
		return nil, engineio.UnknownTransport
	case q.Has("sid"):
		return s.gateUpgrade(l, q)
	case q.Get("EIO") != engineio.Version:
		return nil, engineio.BadVersion
	}
	return s.locals[l.Index()].newSocket(token), nil
}

// gateUpgrade lets a WebSocket in that is for a session over long-polling. One of
// another edge's sessions is refused: the client goes on with long-polling.
func (s *Server) gateUpgrade(l *poll.Loop, q url.Values) (conn.Handler, error) {
	socket := s.sessions.find(q.Get("sid"))
	switch {
	case socket == nil || socket.polling == nil || socket.local.loop != l:
		return nil, engineio.UnknownSession
	case q.Get("EIO") != engineio.Version:
		return nil, engineio.BadVersion
	case socket.probe != nil:
		return nil, engineio.BadRequest
	}
	return &probe{socket: socket}, nil
}

// probe is the handler of a WebSocket that is tried for a session, and of that
// session's connection from then on. Owned by the session's loop.
type probe struct {
	socket *Socket
	conn   *conn.Conn
	timer  poll.Timer
	done   bool // the session uses it
}

// Opened implements conn.Handler.
func (p *probe) Opened(c *conn.Conn) {
	p.conn = c
	s := p.socket
	if s.ended || s.polling == nil || s.probe != nil {
		c.Close(code.ClosePolicy, "")
		return
	}
	s.probe = p
	p.timer.Owner = p
	l := s.local.loop
	l.Arm(&p.timer, l.Tick()+l.Ticks(upgradeTimeout))
}

// Expire implements poll.Expirer: the client does not go on.
func (p *probe) Expire() {
	p.giveUp()
	p.conn.Close(code.ClosePolicy, "upgrade not finished")
}

// giveUp lets the session go on as it was.
func (p *probe) giveUp() {
	s := p.socket
	s.local.loop.Disarm(&p.timer)
	if s.probe == p {
		s.probe = nil
		if s.polling != nil {
			s.polling.probed = false
		}
	}
}

// Message implements conn.Handler.
func (p *probe) Message(c *conn.Conn, op ws.OpCode, payload []byte) {
	s := p.socket
	switch {
	case p.done:
		s.Message(c, op, payload)
	case s.probe != p:
	case op == ws.OpText && string(payload) == string(engineio.Ping)+engineio.Probe:
		c.Send(s.local.pong, conn.Reply)
		s.polling.probed = true
		s.polling.mark() // a GET that waits is let go
	case op == ws.OpText && string(payload) == string(engineio.Upgrade) && s.polling.probed && !s.conn.Closing():
		p.upgrade()
	default:
		p.giveUp()
		c.Close(code.ClosePolicy, "unexpected packet")
	}
}

// upgrade makes the WebSocket the session's connection.
func (p *probe) upgrade() {
	s := p.socket
	s.local.loop.Disarm(&p.timer)
	p.done, s.probe = true, nil
	old := s.conn
	s.conn = p.conn
	s.deadAt = 0
	p.conn.Adopt(old)
	s.leavePolling()
}

// Heartbeat implements conn.Handler.
func (p *probe) Heartbeat(*conn.Conn) {}

// Drained implements conn.Handler.
func (p *probe) Drained(c *conn.Conn) {
	if p.done {
		p.socket.Drained(c)
	}
}

// Closed implements conn.Handler.
func (p *probe) Closed(c *conn.Conn, cause conn.Cause) {
	if p.done {
		p.socket.Closed(c, cause)
		return
	}
	p.giveUp()
}

var _ conn.Handler = (*probe)(nil)
