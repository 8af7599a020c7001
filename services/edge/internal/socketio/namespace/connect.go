package namespace

import (
	"cmp"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/codec/sio"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
)

// connectSession authenticates the client, and then opens a new session or recovers an
// earlier one.
func (c *Client) connectSession(ns *Namespace, data []byte) {
	given := parseCredentials(data)
	id, err := c.server.verify(cmp.Or(given.token, c.token))
	if err != nil {
		c.refuseSession(ns, code.From(err))
		return
	}
	s := &sessionSocket{Socket: c.conn, client: c, ns: ns, opening: &opening{id: id}}
	c.sockets = append(c.sockets, s)
	room, seq, ok := sio.ParseOffset(given.offset)
	if given.pid == "" || !ok {
		s.openNew()
		return
	}
	s.recover(&wire.Recover{PID: given.pid, User: id.UserID, Edge: c.server.Peers.Token(), Room: room, Seq: seq})
}

func (s *Server) verify(token string) (auth.Identity, error) {
	if token == "" {
		return auth.Identity{}, code.New(code.Unauthorized, "a token is required")
	}
	return s.Verifier.Verify(token)
}

// refuseSession answers CONNECT with CONNECT_ERROR and the contract's error object.
func (c *Client) refuseSession(ns *Namespace, e *code.Error) {
	refusal := *e
	refusal.Ref = code.NewRef()
	c.server.Logger.Debug("namespace refused", "event", "namespace.refused", "ref", refusal.Ref, "conn", c.conn.ID(), "err", e)
	object := event.AppendError(nil, &refusal, event.At(c.conn.Loop().Now()))
	c.sendRefusal(ns.AppendConnectError(nil, e.Message, object))
}

// openNew opens a new session.
func (s *sessionSocket) openNew() {
	s.createSession()
	s.grant(s.client.server.Peers.NewID())
	s.session.Opened(s)
}

// openRecovered opens a session that continues an earlier one, if its rooms can be
// joined without missing a message. Otherwise it opens a new one.
func (s *sessionSocket) openRecovered(pid string, rooms []hub.Position) {
	s.createSession()
	s.session.Restore(s, rooms, func(exact bool) {
		if exact && !s.opening.overflowed {
			s.grant(pid)
			return
		}
		s.session.Closed(conn.Cause{Kind: conn.Lost, Code: conn.CodeAbnormal})
		s.opening = &opening{id: s.opening.id}
		s.openNew()
	})
}

func (s *sessionSocket) createSession() {
	core := s.client.server.Core
	core.Hub.Local(s.Loop().Index()).KeepDeliveryLog()
	s.session = core.New(s.Loop(), s.opening.id, s.ns.Place)
}

// grant answers CONNECT and then sends what was held.
func (s *sessionSocket) grant(pid string) {
	o := s.opening
	s.opening, s.pid = nil, pid
	s.client.server.recoverables.addLive(s)
	s.client.sendConnected(s.ns, pid)
	for _, h := range o.held {
		s.Socket.Send(h.frames, h.class)
	}
	if o.drain {
		s.Socket.NotifyDrained()
	}
}
