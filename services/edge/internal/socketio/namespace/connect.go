package namespace

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"log/slog"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/codec/socketio"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/session"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
)

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
	refusal.Ref = newRef()
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
		if exact && !l.opening.missed {
			l.pid = pid
			l.granted()
			return
		}
		l.session.End(conn.Cause{Kind: conn.Lost, Code: conn.CodeAbnormal})
		l.opening = &opening{id: l.opening.id}
		l.start()
	})
}

func (l *link) newSession(id auth.Identity) *session.Session {
	s, loop := l.client.server, l.client.socket.Loop()
	s.Core.Hub.Local(loop.Index()).KeepDeliveryLog()
	return s.Core.New(loop, id, l.ns.Place)
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
