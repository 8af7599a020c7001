package engine

import (
	"sync/atomic"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/codec/engineio"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// Socket is one session. It is the handler of its connection, and stays when that
// changes. Owned by its loop; it has no buffers of its own.
type Socket struct {
	local   *local // static
	handler Handler
	conn    *conn.Conn
	polling *polling // nil once it is a WebSocket
	probe   *probe   // the WebSocket that is being tried; nil for none

	// Deadlines; 0 when there is none. alarm is armed for the earliest.
	alarm   poll.Alarm
	pingAt  poll.Moment // of the next ping
	deadAt  poll.Moment // when the last ping must have been answered
	beatAt  poll.Moment // of the next Handler.Heartbeat
	limitAt poll.Moment // see Limit

	posting atomic.Bool // a POST is under way; written by anybody
	gone    bool        // the client has said goodbye
	ended   bool
}

// Opened implements conn.Handler: of the first connection.
func (s *Socket) Opened(c *conn.Conn) {
	s.conn = c
	l, o := s.local, &s.local.server.Options
	h := engineio.Handshake{PingInterval: o.PingInterval, PingTimeout: o.PingTimeout, MaxPayload: o.MaxPayload}
	if s.polling != nil {
		h.SID, h.Upgrade = s.polling.sid, true
	} else {
		h.SID = l.server.newID() // nobody will ask for it
	}
	c.Send(ws.AppendFrame(nil, ws.OpText, engineio.AppendOpen(nil, h)), conn.Reply)
	now := l.loop.Moment()
	s.pingAt = now.After(o.PingInterval)
	// Spread over the second half of the first interval, by number.
	half := o.Heartbeat / 2
	s.beatAt = now.After(half + half*time.Duration(c.ID()%64)/64)
	s.arm()
	s.handler.Opened(s)
}

// Message implements conn.Handler: of a connection that is or was the session's.
func (s *Socket) Message(c *conn.Conn, op ws.OpCode, payload []byte) {
	if c != s.conn {
		return
	}
	s.deadAt = 0 // any byte is life
	if op == ws.OpBinary {
		s.handler.Message(s, true, payload)
		return
	}
	p, err := engineio.Parse(payload)
	if err != nil {
		c.Close(code.ClosePolicy, err.Error())
		return
	}
	switch p.Type {
	case engineio.Message:
		s.handler.Message(s, false, p.Data)
	case engineio.Close:
		s.goodbye()
	case engineio.Pong, engineio.Noop:
	default: // open, ping and upgrade are not a client's to send here
		c.Close(code.ClosePolicy, "unexpected packet")
	}
}

// goodbye ends the session as the client wants it.
func (s *Socket) goodbye() {
	s.gone = true
	if s.polling != nil {
		s.conn.Abort(code.CloseNormal) // it does not ask again
		return
	}
	s.conn.Close(code.CloseNormal, "")
}

// Heartbeat implements conn.Handler; the engine has its own.
func (s *Socket) Heartbeat(*conn.Conn) {}

// Drained implements conn.Handler.
func (s *Socket) Drained(*conn.Conn) { s.handler.Drained(s) }

// Closed implements conn.Handler.
func (s *Socket) Closed(c *conn.Conn, cause conn.Cause) {
	if c != s.conn { // an earlier one
		return
	}
	s.ended = true
	s.local.loop.DisarmAt(&s.alarm)
	s.leavePolling()
	if s.probe != nil {
		s.probe.conn.Close(code.CloseNormal, "")
		s.probe = nil
	}
	if s.gone {
		cause = conn.Cause{Kind: conn.Clean, Code: code.CloseNormal}
	}
	s.handler.Closed(s, cause)
}

// leavePolling forgets what only long-polling needs.
func (s *Socket) leavePolling() {
	if s.polling == nil {
		return
	}
	s.local.server.sessions.remove(s.polling.sid)
	s.polling.leave()
	s.polling = nil
}

// Send queues WebSocket frames, each of one packet; see conn.Conn.Send.
func (s *Socket) Send(frames []byte, class conn.Class) bool { return s.conn.Send(frames, class) }

// Close ends the session behind what is queued; see conn.Conn.Close.
func (s *Socket) Close(k code.Close, reason string) { s.conn.Close(k, reason) }

// ID is the connection's number, for the log; it changes with the transport.
func (s *Socket) ID() uint64 { return s.conn.ID() }

// Queued is the number of bytes that wait to be written.
func (s *Socket) Queued() int { return s.conn.Queued() }

// NotifyDrained asks for one Handler.Drained.
func (s *Socket) NotifyDrained() { s.conn.NotifyDrained() }

// PauseReads stops Handler.Message until ResumeReads.
func (s *Socket) PauseReads() { s.conn.PauseReads() }

// ResumeReads continues.
func (s *Socket) ResumeReads() { s.conn.ResumeReads() }

// Loop is the loop that owns the session.
func (s *Socket) Loop() *poll.Loop { return s.local.loop }

// Limit closes the session when d has passed; 0 takes that back.
func (s *Socket) Limit(d time.Duration) {
	s.limitAt = 0
	if d > 0 {
		s.limitAt = s.local.loop.Moment().After(d)
		s.arm()
	}
}

// lateness is how late a ping may leave and still count as sent in time.
const lateness = 10 * time.Millisecond

// Expire implements poll.Expirer.
func (s *Socket) Expire() {
	if s.ended {
		return
	}
	now, o := s.local.loop.Moment(), &s.local.server.Options
	if s.conn.Paused() && s.deadAt != 0 {
		s.deadAt = now.After(o.PingTimeout) // it is we who are deaf
	}
	switch {
	case s.overdue(now):
		s.timeout()
		return
	case due(s.limitAt, now):
		s.limitAt = 0
		s.conn.Close(code.ClosePolicy, "no namespace was joined in time")
	}
	if due(s.pingAt, now) {
		if now > s.pingAt.After(lateness) {
			s.pingAt = now // the client is not to pay for it
		}
		if s.deadAt == 0 {
			s.deadAt = s.pingAt.After(o.PingTimeout)
		}
		s.pingAt = s.pingAt.After(o.PingInterval)
		s.conn.Send(s.local.ping, conn.Reply)
	}
	if due(s.beatAt, now) {
		s.beatAt = now.After(o.Heartbeat)
		s.handler.Heartbeat(s)
	}
	s.arm()
}

func due(at, now poll.Moment) bool { return at != 0 && at <= now }

// overdue tells whether the client has not answered the last ping in time.
func (s *Socket) overdue(now poll.Moment) bool { return due(s.deadAt, now) && !s.conn.Paused() }

// timeout ends the session of a client that does not answer pings.
func (s *Socket) timeout() {
	if s.polling != nil { // nobody listens, and nobody is to find it any more
		s.conn.Abort(code.CloseHeartbeatTimeout)
		return
	}
	s.conn.Close(code.CloseHeartbeatTimeout, "")
}

// arm arms the alarm for the earliest deadline.
func (s *Socket) arm() {
	next := min(s.pingAt, s.beatAt)
	for _, at := range [...]poll.Moment{s.deadAt, s.limitAt} {
		if at != 0 && at < next {
			next = at
		}
	}
	if s.ended || s.alarm.Armed() && s.alarm.At() == next {
		return
	}
	s.local.loop.ArmAt(&s.alarm, next)
}

var (
	_ conn.Handler = (*Socket)(nil)
	_ poll.Expirer = (*Socket)(nil)
)
