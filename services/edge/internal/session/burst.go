package session

import (
	"slices"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay"
)

// A burst is messages of one connection to one room that go to the owner as one
// command. They are never several commands: while the room changes owners, the later
// one could be accepted and the earlier one come again, out of order.
const (
	// maxBurst is as many as a connection may have open.
	maxBurst = maxInFlight
	// maxBurstBytes bounds their texts; the answer, with their JSON, stays far below
	// the 1 MB of NATS.
	maxBurstBytes = 64 << 10
)

// send asks the owner to accept c's message, and those of the room that wait in line
// behind it.
func (c *command) send() {
	s := c.s
	burst := s.work.takeBurst(c)
	m := wire.Send{
		Origin: s.local.core.Relay.Origin(), Room: c.room, User: s.User,
		ClientID: c.text.ClientID, Type: c.text.Type, Content: c.text.Content,
	}
	for _, follower := range burst[1:] {
		m.More = append(m.More, *follower.text)
	}
	s.work.sending = append(s.work.sending, c.room)
	c.ask(subject.OpSend, &m, func(reply []byte, err error) {
		defer s.advance() // the next ones may go
		w := s.work
		w.sending = slices.DeleteFunc(w.sending, func(room string) bool { return room == c.room })
		var m wire.Sent
		if err == nil && wire.Unmarshal(reply, &m) != nil {
			err = relay.ErrReply
		}
		w.settle(burst, &m, err)
	})
}

// takeBurst takes out of the line what may go with c: messages of its room that have
// their permit, up to the first command that is none.
func (w *work) takeBurst(c *command) []*command {
	burst, size := []*command{c}, len(c.text.Content)
	ended := false
	w.line = slices.DeleteFunc(w.line, func(next *command) bool {
		if next.room != c.room || ended {
			return false
		}
		ended = next.text == nil || !next.decided || !next.permit.OK || len(burst) == maxBurst ||
			size+len(next.text.Content) > maxBurstBytes
		if ended {
			return false
		}
		burst, size = append(burst, next), size+len(next.text.Content)
		return true
	})
	return burst
}

// settle answers a burst. What the owner says nothing of goes again: it is of a release
// that takes one message at a time, or has refused the first and the rest with it.
func (w *work) settle(burst []*command, m *wire.Sent, err error) {
	if refused := m.Err(); err == nil && len(m.More) == 0 && refused != nil && refused.Code == code.Unavailable {
		err = refused
	}
	for i, c := range burst {
		switch {
		case err != nil:
			c.fail(err)
		case i == 0:
			c.settle(&m.Outcome)
		case i <= len(m.More):
			c.settle(&m.More[i-1])
		default:
			w.line = slices.Insert(w.line, 0, burst[i:]...)
			return
		}
	}
}

// settle answers a message.
func (c *command) settle(o *wire.Outcome) {
	if refused := o.Err(); refused != nil {
		c.fail(refused)
		return
	}
	c.s.local.accepted(c.context(), time.Since(c.at))
	c.succeed(&event.MessageSent{Message: o.Message, Duplicate: o.Duplicate})
}
