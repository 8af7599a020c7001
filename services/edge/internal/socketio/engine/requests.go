package engine

import (
	"errors"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/codec/engineio"
)

// exchange is a request of long-polling that has not been answered yet.
type exchange interface {
	// answer is called once, on the session's loop. It does not block.
	answer(status int, body []byte)
}

// ask takes a GET.
func (s *Socket) ask(x exchange) {
	t := s.polling
	switch {
	case t == nil || t.closed || s.overdueNow():
		x.answer(refusal(engineio.UnknownSession))
	case t.get != nil:
		x.answer(refusal(engineio.BadRequest))
		s.conn.Close(code.ClosePolicy, "two polls at once")
	default:
		t.get = x
		if t.full {
			t.full = false
			t.handler.Writable()
		}
		t.mark()
	}
}

// hungUp says that the client has let go of a GET: whatever it was to be told may be
// lost, and so the session is.
func (s *Socket) hungUp(x exchange) {
	if t := s.polling; t != nil && t.get == x {
		t.get = nil
		t.fail(errHungUp)
	}
}

var errHungUp = errors.New("the poll was closed by the client")

// tell takes the body of a POST.
func (s *Socket) tell(x exchange, body []byte) {
	t := s.polling
	switch {
	case t == nil || t.closed || s.overdueNow():
		x.answer(refusal(engineio.UnknownSession))
	case t.post != nil:
		x.answer(refusal(engineio.BadRequest))
		s.conn.Close(code.ClosePolicy, "two posts at once")
	case engineio.CheckPayload(body) != nil:
		x.answer(refusal(engineio.BadRequest))
		s.conn.Abort(code.CloseProtocolError)
	default:
		t.post, t.rest = x, body
		t.take()
	}
}

// twice says that a POST came while another one was under way.
func (s *Socket) twice() {
	if s.polling != nil {
		s.conn.Close(code.ClosePolicy, "two posts at once")
	}
}

// overdueNow ends a session whose time was up before this turn.
func (s *Socket) overdueNow() bool {
	if !s.overdue(s.local.loop.MomentOf(timeNow())) {
		return false
	}
	s.timeout()
	return true
}

// refusal is an answer.
func refusal(f engineio.Fault) (status int, body []byte) { return f.Status(), f.Body() }
