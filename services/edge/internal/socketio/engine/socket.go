package engine

import (
	"sync/atomic"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/engineio"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// Socket is one session. It is the handler of its connection, which an upgrade
// replaces. Its users call the connection's methods: Send, whose frames are WebSocket
// frames of one packet each, Close, ID, which changes with the transport, Queued,
// NotifyDrained, PauseReads, ResumeReads and Loop. Owned by its loop; it has no buffers
// of its own.
type Socket struct {
	*conn.Conn // the current one; nil before Opened

	local   *local // static
	handler Handler
	polling *polling // nil over a WebSocket
	probe   *probe   // the WebSocket that may replace long-polling; nil for none

	// Deadlines; 0 for none. timer is armed for the earliest.
	timer   poll.PreciseTimer
	pingAt  time.Duration // of the next ping
	deadAt  time.Duration // by which the client must answer the last ping
	beatAt  time.Duration // of the next Handler.Heartbeat
	limitAt time.Duration // see Limit

	posting atomic.Bool // a POST is being received; written by any goroutine
	left    bool        // the client has sent a close packet
	ended   bool
}

// Opened implements conn.Handler for the first connection.
func (s *Socket) Opened(c *conn.Conn) {
	s.Conn = c
	l, o := s.local, &s.local.server.Options
	h := engineio.Handshake{PingInterval: o.PingInterval, PingTimeout: o.PingTimeout, MaxPayload: o.MaxPayload}
	if s.polling != nil {
		h.SID, h.Upgrade = s.polling.sid, true
	} else {
		h.SID = o.Peers.NewID() // required by the protocol; no later request carries it
	}
	s.Send(ws.AppendFrame(nil, ws.OpText, engineio.AppendOpen(nil, h)), conn.Reply)
	now := l.loop.Uptime()
	s.pingAt = now + o.PingInterval
	// Spread over the second half of the first interval, by number.
	half := o.Heartbeat / 2
	s.beatAt = now + half + half*time.Duration(c.ID()%64)/64
	s.arm()
	s.handler.Opened(s)
}

// Message implements conn.Handler. Messages of a connection that was replaced are
// ignored.
func (s *Socket) Message(c *conn.Conn, op ws.OpCode, payload []byte) {
	if c != s.Conn {
		return
	}
	s.deadAt = 0 // any message proves that the client is alive
	if op == ws.OpBinary {
		s.handler.Message(s, true, payload)
		return
	}
	p, err := engineio.Parse(payload)
	if err != nil {
		s.Close(code.ClosePolicy, err.Error())
		return
	}
	switch p.Type {
	case engineio.Message:
		s.handler.Message(s, false, p.Data)
	case engineio.Close:
		s.leave()
	case engineio.Pong, engineio.Noop:
	default: // a client must not send open, ping or upgrade here
		s.Close(code.ClosePolicy, "unexpected packet")
	}
}

// leave ends the session at the client's wish.
func (s *Socket) leave() {
	s.left = true
	if s.polling != nil {
		s.Abort(code.CloseNormal) // the client sends no other GET
		return
	}
	s.Close(code.CloseNormal, "")
}

// Heartbeat implements conn.Handler; a session has its own.
func (s *Socket) Heartbeat(*conn.Conn) {}

// Drained implements conn.Handler.
func (s *Socket) Drained(*conn.Conn) { s.handler.Drained(s) }

// Closed implements conn.Handler. The end of a connection that was replaced is ignored.
func (s *Socket) Closed(c *conn.Conn, cause conn.Cause) {
	if c != s.Conn {
		return
	}
	s.ended = true
	s.local.loop.DisarmPrecise(&s.timer)
	s.leavePolling()
	if s.probe != nil {
		s.probe.conn.Close(code.CloseNormal, "")
		s.probe = nil
	}
	if s.left {
		cause = conn.Cause{Kind: conn.Clean, Code: code.CloseNormal}
	}
	s.handler.Closed(s, cause)
}

// leavePolling releases what only long-polling needs.
func (s *Socket) leavePolling() {
	if s.polling == nil {
		return
	}
	s.local.server.sessions.Delete(s.polling.sid)
	s.polling.release()
	s.polling = nil
}

// Limit closes the session after d, unless it is called again; 0 removes the limit.
func (s *Socket) Limit(d time.Duration) {
	s.limitAt = 0
	if d > 0 {
		s.limitAt = s.local.loop.Uptime() + d
		s.arm()
	}
}

// maxLateness is how late a ping may be sent while its answer is still due as if it
// had been sent in time.
const maxLateness = 10 * time.Millisecond

// Expire implements poll.Expirer: it serves every deadline that is due.
func (s *Socket) Expire() {
	if s.ended {
		return
	}
	now, o := s.local.loop.Uptime(), &s.local.server.Options
	if s.Paused() && s.deadAt != 0 {
		s.deadAt = now + o.PingTimeout // no answer can be read while reads are paused
	}
	switch {
	case s.overdue(now):
		s.closeForTimeout()
		return
	case due(s.limitAt, now):
		s.limitAt = 0
		s.Close(code.ClosePolicy, "no namespace was joined in time")
	}
	if due(s.pingAt, now) {
		s.ping(now)
	}
	if due(s.beatAt, now) {
		s.beatAt = now + o.Heartbeat
		s.handler.Heartbeat(s)
	}
	s.arm()
}

// ping sends a ping, and sets when it must be answered and when the next one is sent.
func (s *Socket) ping(now time.Duration) {
	o := &s.local.server.Options
	if now > s.pingAt+maxLateness {
		s.pingAt = now // the client gets its full time to answer
	}
	if s.deadAt == 0 {
		s.deadAt = s.pingAt + o.PingTimeout
	}
	s.pingAt = s.pingAt + o.PingInterval
	s.Send(s.local.ping, conn.Reply)
}

func due(at, now time.Duration) bool { return at != 0 && at <= now }

// overdue reports whether the client has not answered the last ping in time.
func (s *Socket) overdue(now time.Duration) bool { return due(s.deadAt, now) && !s.Paused() }

// closeForTimeout ends the session of a client that does not answer pings.
func (s *Socket) closeForTimeout() {
	if s.polling != nil { // no GET will carry a close packet, and later requests must not find the session
		s.Abort(code.CloseHeartbeatTimeout)
		return
	}
	s.Close(code.CloseHeartbeatTimeout, "")
}

// arm arms the timer for the earliest deadline.
func (s *Socket) arm() {
	next := min(s.pingAt, s.beatAt)
	for _, at := range [...]time.Duration{s.deadAt, s.limitAt} {
		if at != 0 && at < next {
			next = at
		}
	}
	if s.ended || s.timer.Armed() && s.timer.Due() == next {
		return
	}
	s.local.loop.ArmPrecise(&s.timer, next)
}
