package engine

import (
	"math/rand/v2"
	"net/http"

	"github.com/confab-chat/confab/proto/engineio"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/socketio/peers"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

// newRequestID returns the id of a forwarded request, never 0.
func newRequestID() uint64 { return rand.Uint64() | 1 }

// forwardPoll forwards a GET to the session's owner. It repeats the request until there
// is something to send, so that it notices within peers.Hold when the owner dies.
func (s *Server) forwardPoll(w http.ResponseWriter, r *http.Request, sid string) {
	m := wire.Poll{Kind: wire.PollGet, SID: sid, ID: newRequestID()}
	for s.forward(w, r, &m) {
	}
}

// forward forwards m to the session's owner and writes the answer. It returns true when
// the owner has nothing to send yet. When the owner does not answer, the client opens a new session.
func (s *Server) forward(w http.ResponseWriter, r *http.Request, m *wire.Poll) (again bool) {
	owner := peers.Owner(m.SID)
	if owner == "" || s.Peers == nil || owner == s.Peers.Token() { // no other edge has it
		writeFault(w, engineio.UnknownSession)
		return false
	}
	a, err := s.Peers.Poll(r.Context(), owner, m)
	switch {
	case r.Context().Err() != nil: // the client disconnected
		if m.Kind == wire.PollGet {
			s.Peers.AbandonPoll(owner, &wire.Poll{Kind: wire.PollGone, SID: m.SID, ID: m.ID})
		}
	case err != nil:
		writeFault(w, engineio.UnknownSession)
	case a.Status == 0:
		return true
	default:
		writeAnswer(w, int(a.Status), a.Body)
	}
	return false
}

// ServePeer serves a request that the client sent to another edge. It implements
// peers.Handlers.Poll.
func (s *Server) ServePeer(m wire.Poll, reply func(*wire.Polled)) {
	socket := s.find(m.SID)
	x := &peerExchange{socket: socket, id: m.ID, reply: reply}
	if socket == nil || !socket.local.loop.Post(func() { x.accept(m) }) {
		f := engineio.UnknownSession
		reply(&wire.Polled{Status: uint64(f.Status()), Body: f.Body()})
	}
}

// peerExchange is a request that another edge forwarded. Owned by the session's loop.
type peerExchange struct {
	// Static.
	socket *Socket
	id     uint64
	reply  func(*wire.Polled)

	timer poll.PreciseTimer // a GET waits no longer than peers.Hold
}

// accept passes the request to the session.
func (x *peerExchange) accept(m wire.Poll) {
	loop := x.socket.local.loop
	switch m.Kind {
	case wire.PollGet:
		x.timer.Owner = x
		loop.ArmPrecise(&x.timer, loop.Uptime()+peers.Hold)
		x.socket.acceptPoll(x)
	case wire.PollPost:
		x.socket.acceptPost(x, m.Body)
	case wire.PollGone:
		if t := x.socket.polling; t != nil {
			if waits, ok := t.get.(*peerExchange); ok && waits.id == x.id {
				loop.DisarmPrecise(&waits.timer)
				x.socket.abandonPoll(waits)
			}
		}
	}
}

// answer implements exchange.
func (x *peerExchange) answer(status int, body []byte) {
	x.socket.local.loop.DisarmPrecise(&x.timer)
	x.reply(&wire.Polled{Status: uint64(status), Body: body})
}

// Expire implements poll.Expirer: it answers that there is nothing to send yet.
func (x *peerExchange) Expire() {
	if t := x.socket.polling; t != nil && t.get == x {
		t.get = nil
		x.answer(0, nil)
	}
}
