package namespace

import (
	"math/rand/v2"
	"strconv"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/codec/socketio"
	"github.com/confab-chat/confab/services/edge/internal/session"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
)

// link is a client in a namespace of the contract: a session and what it has of its
// connection. It implements session.Link. Owned by the connection's loop.
type link struct {
	client  *Client    // static
	ns      *Namespace // static
	session *session.Session
	pid     string   // what the client shows to have the session recovered
	opening *opening // nil once CONNECT has been answered
	ended   bool
	paused  bool
}

// opening is what is needed until CONNECT has been answered.
type opening struct {
	id     auth.Identity
	held   []held // said before the answer
	queued int    // bytes of it
	drain  bool   // NotifyDrained was asked for
	missed bool   // held has not all that was said
}

// hold keeps what is said before CONNECT is answered, within the bounds of any queue.
// What does not fit is missed, and so nothing is recovered.
func (o *opening) hold(frames []byte, class conn.Class, most int) bool {
	if o.missed = o.missed || o.queued+len(frames) > most; o.missed {
		return false
	}
	o.held = append(o.held, held{frames, class})
	o.queued += len(frames)
	return true
}

type held struct {
	frames []byte
	class  conn.Class
}

func (l *link) namespace() string { return l.ns.Namespace }

func (l *link) event(_ socketio.Packet, raw []byte, _ [][]byte) {
	if l.opening != nil { // events before the answer to CONNECT
		l.client.invalid()
		return
	}
	l.session.Receive(raw)
}

func (l *link) wantsAttachments() bool { return false } // no event of the contract has any

func (l *link) heartbeat() {
	if l.opening == nil {
		l.session.Beat()
	}
}

func (l *link) drained() {
	if l.opening == nil {
		l.session.Emptied()
	}
}

func (l *link) end(cause conn.Cause) {
	l.ended = true
	if l.paused {
		l.ResumeReads()
	}
	if l.session == nil {
		return
	}
	l.client.server.tickets.lose(l, cause)
	l.session.End(cause)
}

// Send implements session.Link.
func (l *link) Send(frames []byte, class conn.Class) bool {
	if o := l.opening; o != nil {
		return o.hold(frames, class, l.client.server.Core.QueueBytes)
	}
	return l.client.socket.Send(frames, class)
}

// Close implements session.Link. Who is told not to come back is told why, and so
// that its library obeys; everybody else only loses the transport, and reconnects.
func (l *link) Close(k code.Close, reason string) {
	if !k.Reconnect() {
		e := code.Error{Code: refusalFor(k), Message: k.String(), Ref: newRef()}
		l.client.socket.Send(l.ns.AppendEvent(nil, event.NameError, event.AppendError(nil, &e, event.At(l.client.socket.Loop().Now()))), conn.Reply)
		l.client.socket.Send(l.ns.AppendDisconnect(nil), conn.Reply)
	}
	l.client.socket.Close(k, reason)
}

// newRef is a short random id that a person can read out. It guards nothing.
func newRef() string { return strconv.FormatUint(rand.Uint64()>>14, 36) }

// refusalFor is the error code that goes with a close code.
func refusalFor(k code.Close) code.Code {
	switch k {
	case code.CloseInvalidToken, code.CloseAuthRequired:
		return code.Unauthorized
	case code.CloseProtocolAbuse:
		return code.BadRequest
	}
	return code.Forbidden
}

// ID implements session.Link.
func (l *link) ID() uint64 { return l.client.socket.ID() }

// Queued implements session.Link.
func (l *link) Queued() int {
	if l.opening != nil {
		return l.opening.queued
	}
	return l.client.socket.Queued()
}

// NotifyDrained implements session.Link.
func (l *link) NotifyDrained() {
	if l.opening != nil {
		l.opening.drain = true
		return
	}
	l.client.socket.NotifyDrained()
}

// PauseReads implements session.Link.
func (l *link) PauseReads() {
	if !l.paused {
		l.paused = true
		l.client.pause(true)
	}
}

// ResumeReads implements session.Link.
func (l *link) ResumeReads() {
	if l.paused {
		l.paused = false
		l.client.pause(false)
	}
}

var (
	_ session.Link = (*link)(nil)
	_ space        = (*link)(nil)
)
