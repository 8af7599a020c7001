package namespace

import (
	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/socketio/peers"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

const (
	// maxHops is how many edges are asked for one session.
	maxHops = 4

	// maxRecoveries is how many recoveries may be in progress at a time. Each has a
	// goroutine, for milliseconds, or for maxHops seconds at most.
	maxRecoveries = 4096
)

// recover looks for the earlier session on a goroutine of the loop's group, and then
// opens it on the loop. When too many recoveries are in progress it opens a new session.
func (s *sessionSocket) recover(m *wire.Recover) {
	server, loop := s.client.server, s.Loop()
	select {
	case server.recoveries <- struct{}{}:
	default:
		s.openNew()
		return
	}
	loop.Go(func() {
		found := server.releaseAnywhere(*m)
		<-server.recoveries
		loop.Post(func() {
			switch {
			case s.ended:
			case found.Exact:
				s.openRecovered(m.PID, found.Rooms)
			default:
				s.openNew()
			}
		})
	})
}

// releaseAnywhere asks the edge that made the session's id to release the session, then
// the edge that it names, and so on. It blocks until the last one has answered.
func (s *Server) releaseAnywhere(m wire.Recover) *wire.Recovered {
	edge := peers.Owner(m.PID)
	if s.recoverables.find(m.PID) != nil {
		edge = m.Edge
	}
	for range maxHops {
		found := s.releaseAt(edge, m)
		if found.Edge == "" {
			return found
		}
		edge = found.Edge
	}
	return &wire.Recovered{}
}

// releaseAt asks one edge to release the session. An edge that does not answer has
// lost it.
func (s *Server) releaseAt(edge string, m wire.Recover) *wire.Recovered {
	switch {
	case edge == m.Edge: // this one
		released := make(chan *wire.Recovered, 1)
		s.Release(m, func(r *wire.Recovered) { released <- r })
		return <-released
	case s.Peers != nil && peers.ValidToken(edge):
		if r, err := s.Peers.Recover(edge, &m); err == nil {
			return r
		}
	}
	return &wire.Recovered{}
}

// Release releases a session of this edge to the edge that asks for it, or names the
// edge that it was released to. It implements peers.Handlers.Recover: it does not block,
// and calls reply once, on any goroutine.
func (s *Server) Release(m wire.Recover, reply func(*wire.Recovered)) {
	r := s.recoverables.find(m.PID)
	switch {
	case r == nil:
		reply(&wire.Recovered{})
	case r.movedTo != "":
		reply(&wire.Recovered{Edge: r.movedTo})
	case !r.loop.Post(func() { reply(s.releaseOnLoop(r.loop, m)) }):
		reply(&wire.Recovered{})
	}
}

// releaseOnLoop releases a session of the loop that calls it. The connection of a live
// one is closed: the client has lost it without this edge noticing.
func (s *Server) releaseOnLoop(loop *poll.Loop, m wire.Recover) *wire.Recovered {
	r := s.recoverables.find(m.PID)
	if r == nil || r.loop != loop || r.user != m.User {
		return &wire.Recovered{}
	}
	mark := r.mark
	if r.live != nil {
		mark = r.live.session.DeliveryMark()
	}
	rooms, exact := s.Core.Hub.Local(loop.Index()).PositionsAt(mark, hub.Position{Room: m.Room, Seq: m.Seq})
	movedTo := m.Edge
	if movedTo == s.Peers.Token() {
		movedTo = ""
	}
	if !exact || !s.recoverables.remove(m.PID, r, movedTo) {
		return &wire.Recovered{}
	}
	if r.live != nil {
		r.live.pid = ""
		r.live.Socket.Close(code.CloseStateLost, "recovered elsewhere")
	}
	return &wire.Recovered{Exact: true, Rooms: rooms}
}
