package engine

import (
	"net/url"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/engineio"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// Home returns the loop that must own a WebSocket with this query: that of the session
// it upgrades. It returns nil when any loop will do.
func (s *Server) Home(rawQuery string) *poll.Loop {
	q, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil
	}
	if socket := s.find(q.Get("sid")); socket != nil {
		return socket.local.loop
	}
	return nil
}

// Gate returns the handler of a WebSocket that l owns: a new session, or a probe of an
// existing one. The error is an engineio.Fault.
func (s *Server) Gate(l *poll.Loop, rawQuery, token string) (conn.Handler, error) {
	q, err := url.ParseQuery(rawQuery)
	switch {
	case err != nil || q.Get("transport") == transportPolling:
		return nil, engineio.BadRequest
	case q.Get("transport") != transportWebSocket:
		return nil, engineio.UnknownTransport
	case q.Has("sid"):
		return s.gateProbe(l, q)
	case q.Get("EIO") != engineio.Version:
		return nil, engineio.BadVersion
	}
	return s.locals[l.Index()].newSocket(token), nil
}

// gateProbe admits a WebSocket that probes a session over long-polling. It refuses one
// for a session of another edge: that client continues with long-polling.
func (s *Server) gateProbe(l *poll.Loop, q url.Values) (conn.Handler, error) {
	socket := s.find(q.Get("sid"))
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

// probe is the handler of a WebSocket that may replace long-polling. After the upgrade
// it passes all calls on to the session. Owned by the session's loop.
type probe struct {
	socket   *Socket
	conn     *conn.Conn
	timer    poll.Timer // expires after upgradeTimeout
	upgraded bool
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

// Expire implements poll.Expirer: the client did not finish the upgrade in time.
func (p *probe) Expire() {
	p.detach()
	p.conn.Close(code.ClosePolicy, "upgrade not finished")
}

// detach ends the probe. The session continues over long-polling.
func (p *probe) detach() {
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
	case p.upgraded:
		s.Message(c, op, payload)
	case s.probe != p: // the session has ended, or this WebSocket is being closed
	case op == ws.OpText && string(payload) == string(engineio.Ping)+engineio.Probe:
		c.Send(s.local.pong, conn.Reply)
		s.polling.probed = true
		s.polling.deferFlush() // a waiting GET is answered with a noop packet
	case op == ws.OpText && string(payload) == string(engineio.Upgrade) && s.polling.probed && !s.Closing():
		p.upgrade()
	default:
		p.detach()
		c.Close(code.ClosePolicy, "unexpected packet")
	}
}

// upgrade makes the WebSocket the session's connection.
func (p *probe) upgrade() {
	s := p.socket
	s.local.loop.Disarm(&p.timer)
	p.upgraded, s.probe = true, nil
	old := s.Conn
	s.Conn = p.conn
	s.deadAt = 0
	p.conn.Replace(old)
	s.leavePolling()
}

// Heartbeat implements conn.Handler; a session has its own.
func (p *probe) Heartbeat(*conn.Conn) {}

// Drained implements conn.Handler.
func (p *probe) Drained(c *conn.Conn) {
	if p.upgraded {
		p.socket.Drained(c)
	}
}

// Closed implements conn.Handler.
func (p *probe) Closed(c *conn.Conn, cause conn.Cause) {
	if p.upgraded {
		p.socket.Closed(c, cause)
		return
	}
	p.detach()
}
