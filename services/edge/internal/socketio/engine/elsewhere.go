package engine

import (
	"math/rand/v2"
	"net/http"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/codec/engineio"
	"github.com/confab-chat/confab/services/edge/internal/socketio/peers"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

// peerOf is the edge that has the session; empty when it is this one or nobody's.
func (s *Server) peerOf(sid string) string {
	token := edgeOf(sid)
	if s.Peers == nil || token == s.Peers.Token() || !peers.ValidToken(token) {
		return ""
	}
	return token
}

// pollElsewhere has a GET answered by the edge that has the session: again and again
// until there is something to say, so that an edge that dies is not waited for.
func (s *Server) pollElsewhere(w http.ResponseWriter, r *http.Request, sid string) {
	token := s.peerOf(sid)
	if token == "" {
		refuse(w, engineio.UnknownSession)
		return
	}
	m := wire.Poll{Kind: wire.PollAsk, SID: sid, ID: rand.Uint64() | 1}
	for {
		a, on := s.ask(r, token, &m)
		switch {
		case !on: // the client has gone
			s.Peers.PollGone(token, &wire.Poll{Kind: wire.PollGone, SID: sid, ID: m.ID})
			return
		case a.status != 0:
			answer(w, a.status, a.body)
			return
		}
	}
}

func (s *Server) postElsewhere(w http.ResponseWriter, r *http.Request, sid string, body []byte) {
	token := s.peerOf(sid)
	if token == "" {
		refuse(w, engineio.UnknownSession)
		return
	}
	m := wire.Poll{Kind: wire.PollTell, SID: sid, ID: rand.Uint64() | 1, Body: body}
	if a, on := s.ask(r, token, &m); on {
		answer(w, a.status, a.body)
	}
}

// ask passes a request on; on is false when the client went before the answer came.
func (s *Server) ask(r *http.Request, token string, m *wire.Poll) (a reply, on bool) {
	x := newRequest()
	s.Peers.Poll(token, m, func(p *wire.Polled, err error) {
		if err != nil { // the client begins anew
			x.answer(refusal(engineio.UnknownSession))
			return
		}
		x.answer(int(p.Status), p.Body)
	})
	select {
	case a := <-x.answered:
		return a, true
	case <-r.Context().Done():
		return reply{}, false
	}
}

// polled takes a request that came to another edge.
func (s *Server) polled(m wire.Poll, answer func(*wire.Polled)) {
	x := &remote{id: m.ID, reply: answer}
	x.alarm.Owner = x
	if x.socket = s.sessions.find(m.SID); x.socket == nil || !x.socket.local.loop.Post(func() { x.begin(m) }) {
		status, body := refusal(engineio.UnknownSession)
		answer(&wire.Polled{Status: uint64(status), Body: body})
	}
}

// remote is an exchange with another edge. Owned by the session's loop.
type remote struct {
	socket *Socket // static
	id     uint64
	reply  func(*wire.Polled)
	alarm  poll.Alarm // the end of the hold
}

func (x *remote) begin(m wire.Poll) {
	s := x.socket
	switch m.Kind {
	case wire.PollAsk:
		l := s.local.loop
		l.ArmAt(&x.alarm, l.Moment().After(peers.Hold))
		s.ask(x)
	case wire.PollTell:
		s.tell(x, m.Body)
	case wire.PollGone:
		if s.polling == nil {
			return
		}
		if waits, ok := s.polling.get.(*remote); ok && waits.id == x.id {
			l := s.local.loop
			l.DisarmAt(&waits.alarm)
			s.hungUp(waits)
		}
	}
}

// answer implements exchange.
func (x *remote) answer(status int, body []byte) {
	x.socket.local.loop.DisarmAt(&x.alarm)
	x.reply(&wire.Polled{Status: uint64(status), Body: body})
}

// Expire implements poll.Expirer: there is nothing to say yet.
func (x *remote) Expire() {
	if t := x.socket.polling; t != nil && t.get == x {
		t.get = nil
		x.answer(0, nil)
	}
}
