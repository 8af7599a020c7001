package namespace

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"strconv"

	mathrand "math/rand/v2"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/conn"
	"github.com/confab-chat/confab/services/edge/internal/hub"
	"github.com/confab-chat/confab/services/edge/internal/session"
	"github.com/confab-chat/confab/services/edge/internal/socketio"
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
}

type held struct {
	frames []byte
	class  conn.Class
}

// connectSession checks who the client is, and then begins a session or goes on with
// an earlier one.
func (c *Client) connectSession(ns *Namespace, data []byte) {
	given := parseCredentials(data)
	token := given.token
	if token == "" {
		token = c.token
	}
	id, err := c.server.verify(token)
	if err != nil {
		c.refuseSession(ns, code.From(err))
		return
	}
	l := &link{client: c, ns: ns, opening: &opening{id: id}}
	c.join(l)
	room, seq, ok := socketio.ParseOffset(given.offset)
	if given.pid == "" || !ok {
		l.start()
		return
	}
	m := wire.Recover{PID: given.pid, User: id.UserID, Room: room, Seq: seq}
	c.server.recover(c.socket.Loop(), m, func(rooms []hub.Position, exact bool) {
		switch {
		case l.ended:
		case exact:
			l.restore(given.pid, rooms)
		default:
			l.start()
		}
	})
}

func (s *Server) verify(token string) (auth.Identity, error) {
	if token == "" {
		return auth.Identity{}, code.New(code.Unauthorized, "a token is required")
	}
	return s.Verifier.Verify(token)
}

// refuseSession answers with CONNECT_ERROR and the contract's error object.
func (c *Client) refuseSession(ns *Namespace, e *code.Error) {
	refusal := *e
	refusal.Ref = strconv.FormatUint(mathrand.Uint64()>>14, 36)
	c.server.Logger.Log(context.Background(), slog.LevelDebug, "namespace refused", "event", "namespace.refused",
		"ref", refusal.Ref, "conn", c.socket.ID(), "err", e)
	object := event.AppendError(nil, &refusal, event.At(c.socket.Loop().Now()))
	c.refuse(ns.AppendConnectError(nil, e.Message, object))
}

// start begins a new session.
func (l *link) start() {
	l.pid = l.client.server.newPID()
	id := l.opening.id
	l.granted()
	l.session = l.newSession(id)
	l.session.Open(l)
}

// restore goes on with an earlier session, if its rooms can be joined without a
// message missing; else it begins a new one.
func (l *link) restore(pid string, rooms []hub.Position) {
	l.session = l.newSession(l.opening.id)
	l.session.Restore(l, rooms, func(exact bool) {
		if exact {
			l.pid = pid
			l.granted()
			return
		}
		l.session.End(conn.Cause{Kind: conn.Lost, Code: conn.CodeAbnormal})
		l.opening.held, l.opening.queued = nil, 0
		l.start()
	})
}

func (l *link) newSession(id auth.Identity) *session.Session {
	s, loop := l.client.server, l.client.socket.Loop()
	s.Core.Hub.Local(loop.Index()).KeepTrail()
	return s.Core.New(loop, id, l.ns.Door, l.ns.Place)
}

// granted answers CONNECT and then says what was held back.
func (l *link) granted() {
	o, socket := l.opening, l.client.socket
	l.opening = nil
	l.client.server.tickets.add(l)
	socket.Send(l.ns.AppendConnect(nil, newSID(), l.pid), conn.Reply)
	for _, h := range o.held {
		socket.Send(h.frames, h.class)
	}
	if o.drain {
		socket.NotifyDrained()
	}
	l.client.joined()
}

// newSID is how the client may call its side of the namespace; nothing depends on it.
func newSID() string {
	var b [15]byte
	_, _ = rand.Read(b[:]) // it does not fail
	return base64.RawURLEncoding.EncodeToString(b[:])
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
		o.held = append(o.held, held{frames, class})
		o.queued += len(frames)
		return true
	}
	return l.client.socket.Send(frames, class)
}

// Close implements session.Link. Who is told not to come back is told why, and so
// that its library obeys; everybody else only loses the transport, and reconnects.
func (l *link) Close(k code.Close, reason string) {
	if !k.Reconnect() {
		e := code.Error{Code: refusalFor(k), Message: k.String(), Ref: strconv.FormatUint(mathrand.Uint64()>>14, 36)}
		l.client.socket.Send(l.ns.AppendEvent(nil, event.NameError, event.AppendError(nil, &e, event.At(l.client.socket.Loop().Now()))), conn.Reply)
		l.client.socket.Send(l.ns.AppendDisconnect(nil), conn.Reply)
	}
	l.client.socket.Close(k, reason)
}

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
