package engine

import (
	"errors"
	"net/http"
	"net/netip"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/engineio"
)

// exchange is a request of long-polling that has not been answered yet.
type exchange interface {
	// answer is called once, on the session's loop. It does not block.
	answer(status int, body []byte)
}

func answerFault(x exchange, f engineio.Fault) { x.answer(f.Status(), f.Body()) }

// httpExchange is a request that this edge received from the client. Its capacity is 1.
type httpExchange chan answer

type answer struct {
	status int
	body   []byte
}

// answer implements exchange.
func (x httpExchange) answer(status int, body []byte) { x <- answer{status, body} }

// writeAnswer waits for the answer and writes it. It returns false when the client
// disconnected first.
func (x httpExchange) writeAnswer(w http.ResponseWriter, r *http.Request) bool {
	select {
	case a := <-x:
		writeAnswer(w, a.status, a.body)
		return true
	case <-r.Context().Done():
		return false
	}
}

// openPolling opens a session whose open packet answers x.
func (l *local) openPolling(x exchange, token string, peer netip.AddrPort, release func()) {
	s := l.newSocket(token)
	s.polling = &polling{socket: s, sid: l.server.Peers.NewID(), peer: peer, release: release, get: x}
	l.server.sessions.Store(s.polling.sid, s)
	l.connections.Open(s.polling, s, nil, nil)
}

// acceptPoll accepts a GET, which then waits for something to send.
func (s *Socket) acceptPoll(x exchange) {
	t := s.polling
	switch {
	case t == nil || t.closed || s.closeIfOverdue():
		answerFault(x, engineio.UnknownSession)
	case t.get != nil:
		answerFault(x, engineio.BadRequest)
		s.Close(code.ClosePolicy, "two polls at once")
	default:
		t.get = x
		if t.full {
			t.full = false
			t.handler.Writable()
		}
		t.deferFlush()
	}
}

var errPollAbandoned = errors.New("the poll was closed by the client")

// abandonPoll ends the session of a client that closed its GET: what was on its way in
// the answer may be lost.
func (s *Socket) abandonPoll(x exchange) {
	if t := s.polling; t != nil && t.get == x {
		t.get = nil
		t.fail(errPollAbandoned)
	}
}

// acceptPost accepts a POST with its body.
func (s *Socket) acceptPost(x exchange, body []byte) {
	t := s.polling
	switch {
	case t == nil || t.closed || s.closeIfOverdue():
		answerFault(x, engineio.UnknownSession)
	case t.post != nil:
		answerFault(x, engineio.BadRequest)
		s.closeForSecondPost()
	case engineio.CheckPayload(body) != nil:
		answerFault(x, engineio.BadRequest)
		s.Abort(code.CloseProtocolError)
	default:
		t.post, t.unread = x, body
		t.deliverPackets()
	}
}

// closeForSecondPost closes a session whose client sends a POST before the last one
// was answered.
func (s *Socket) closeForSecondPost() {
	if s.polling != nil {
		s.Close(code.ClosePolicy, "two posts at once")
	}
}

// closeIfOverdue closes a session whose client has not answered a ping in time, even
// when the timer has not expired yet in this turn. It reports whether it did.
func (s *Socket) closeIfOverdue() bool {
	if !s.overdue(s.local.loop.UptimeNow()) {
		return false
	}
	s.closeForTimeout()
	return true
}
