package namespace

import (
	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/socketio"
	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/session"
	"github.com/confab-chat/confab/services/edge/internal/socketio/engine"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
)

// sessionSocket is a client in a namespace of the contract: a session, and the session's
// connection. It implements session.Link. Owned by the connection's loop.
type sessionSocket struct {
	*engine.Socket
	client  *Client          // static
	ns      *Namespace       // static
	session *session.Session // nil while an earlier one is looked for
	pid     string           // with which the client can recover the session; empty for none
	opening *opening         // nil once CONNECT has been answered
	ended   bool
	paused  bool
}

// opening is what a socket needs until CONNECT has been answered.
type opening struct {
	id         auth.Identity
	held       []heldFrames // sent before the answer
	queued     int          // bytes of held
	drain      bool         // NotifyDrained was called
	overflowed bool         // held is not complete
}

type heldFrames struct {
	frames []byte
	class  conn.Class
}

// hold keeps frames until CONNECT is answered, at most limit bytes, as any queue.
// When they do not fit the session cannot be recovered.
func (o *opening) hold(frames []byte, class conn.Class, limit int) bool {
	if o.overflowed = o.overflowed || o.queued+len(frames) > limit; o.overflowed {
		return false
	}
	o.held = append(o.held, heldFrames{frames, class})
	o.queued += len(frames)
	return true
}

func (s *sessionSocket) namespace() string { return s.ns.Namespace }

func (s *sessionSocket) message(_ socketio.Packet, raw []byte, _ [][]byte) {
	if s.opening != nil { // an event before the answer to CONNECT
		s.client.closeInvalid()
		return
	}
	s.session.Message(raw)
}

// wantsAttachments returns false: no event of the contract has any.
func (s *sessionSocket) wantsAttachments() bool { return false }

func (s *sessionSocket) heartbeat() {
	if s.opening == nil {
		s.session.Heartbeat()
	}
}

func (s *sessionSocket) drained() {
	if s.opening == nil {
		s.session.Drained()
	}
}

func (s *sessionSocket) closed(cause conn.Cause) {
	s.ended = true
	s.ResumeReads() // for the connection's other sockets
	if s.session == nil {
		return
	}
	s.client.server.recoverables.keepLost(s, cause)
	s.session.Closed(cause)
}

// Send implements session.Link.
func (s *sessionSocket) Send(frames []byte, class conn.Class) bool {
	if o := s.opening; o != nil {
		return o.hold(frames, class, s.client.server.Core.QueueBytes)
	}
	return s.Socket.Send(frames, class)
}

// Close implements session.Link. A client that must not reconnect is sent the reason
// and a DISCONNECT packet, which its library obeys. Any other client only loses the
// transport, and reconnects.
func (s *sessionSocket) Close(k code.Close, reason string) {
	if !k.Reconnect() {
		e := code.Error{Code: errorCode(k), Message: k.String(), Ref: code.NewRef()}
		s.Socket.Send(s.ns.AppendEvent(nil, event.NameError, event.AppendError(nil, &e, event.At(s.Loop().Now()))), conn.Reply)
		s.Socket.Send(s.ns.AppendDisconnect(nil), conn.Reply)
	}
	s.Socket.Close(k, reason)
}

// errorCode returns the error code for a close code after which a client must not
// reconnect.
func errorCode(k code.Close) code.Code {
	switch k {
	case code.CloseInvalidToken, code.CloseAuthRequired:
		return code.Unauthorized
	case code.CloseProtocolAbuse:
		return code.BadRequest
	}
	return code.Forbidden
}

// Queued implements session.Link.
func (s *sessionSocket) Queued() int {
	if s.opening != nil {
		return s.opening.queued
	}
	return s.Socket.Queued()
}

// NotifyDrained implements session.Link.
func (s *sessionSocket) NotifyDrained() {
	if s.opening != nil {
		s.opening.drain = true
		return
	}
	s.Socket.NotifyDrained()
}

// PauseReads implements session.Link.
func (s *sessionSocket) PauseReads() {
	if !s.paused {
		s.paused = true
		s.client.pauseReads()
	}
}

// ResumeReads implements session.Link.
func (s *sessionSocket) ResumeReads() {
	if s.paused {
		s.paused = false
		s.client.resumeReads()
	}
}
