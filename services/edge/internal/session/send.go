package session

import (
	"crypto/rand"
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
// one could be accepted and the earlier one be sent again, out of order.
const (
	// maxBurst is as many as a connection may have open.
	maxBurst = maxInFlight
	// maxBurstBytes bounds their texts; the answer, with their JSON, stays far below
	// the 1 MB of NATS.
	maxBurstBytes = 64 << 10
)

// repeatsPerMinute is how many messages over its limit one connection may have looked up,
// because they may be stored already.
const repeatsPerMinute = 100

// message is the payload of a sendMessage, nil for every other event.
func (c *command) message() *event.SendMessage {
	m, _ := c.payload.(*event.SendMessage)
	return m
}

// text is c's message as the owner is sent it. Without an id of the client's it gets
// one, the same however often it is sent, so that it cannot be stored twice.
func (c *command) text() wire.Text {
	m := c.message()
	if m.ClientMessageID == "" {
		m.ClientMessageID = "edge-" + rand.Text()
	}
	return wire.Text{ClientID: m.ClientMessageID, Type: m.MessageType, Content: m.Content, RepeatOnly: !c.permit.OK}
}

// mayRepeat reports whether c, which has no permit, may be the repeat of a stored message:
// that one needs none. It is then sent for its outcome only.
func (c *command) mayRepeat() bool {
	m := c.message()
	if m == nil || m.ClientMessageID == "" {
		return false
	}
	return c.s.coldState().countRepeat(c.s.local.loop.Now())
}

// send asks the owner to accept c's message, and those of the room that wait behind it.
func (c *command) send() {
	s := c.s
	burst := s.work.takeBurst(c)
	first := c.text()
	m := wire.Send{
		Origin: s.local.core.Relay.Origin(), Room: c.room, User: s.User,
		ClientID: first.ClientID, Type: first.Type, Content: first.Content, RepeatOnly: first.RepeatOnly,
	}
	for _, follower := range burst[1:] {
		m.More = append(m.More, follower.text())
	}
	s.work.sending = append(s.work.sending, c.room)
	shard := s.LocalRoom(c.room).Shard()
	s.local.core.Relay.RoomCommand(shard, subject.OpSend, &m, c.header, c.deadline(), s.onLoop(func(reply []byte, err error) {
		w := s.work
		w.sending = slices.DeleteFunc(w.sending, func(room string) bool { return room == c.room })
		var m wire.Sent
		if err == nil && wire.Unmarshal(reply, &m) != nil {
			err = relay.ErrReply
		}
		w.replyBurst(burst, &m, err)
		s.advance() // the next ones may be sent
	}))
}

// takeBurst takes from those that wait what may go with c: messages of its room that
// have their permit, up to the first command of the room that is something else.
func (w *work) takeBurst(c *command) []*command {
	burst, size := []*command{c}, len(c.message().Content)
	ended := false
	w.waiting = slices.DeleteFunc(w.waiting, func(next *command) bool {
		if next.room != c.room || ended {
			return false
		}
		m := next.message()
		ended = m == nil || !next.decided || !next.permit.OK || len(burst) == maxBurst || size+len(m.Content) > maxBurstBytes
		if ended {
			return false
		}
		burst, size = append(burst, next), size+len(m.Content)
		return true
	})
	return burst
}

// replyBurst answers each message of a burst. Those without an outcome are sent again:
// the owner is of a release that takes one message at a time, or has refused the first
// and the rest with it.
func (w *work) replyBurst(burst []*command, m *wire.Sent, err error) {
	if refused := m.Err(); err == nil && len(m.More) == 0 && refused != nil && refused.Code == code.Unavailable {
		err = refused
	}
	for i, c := range burst {
		switch {
		case err != nil:
			c.fail(err)
		case i == 0:
			c.replyOutcome(&m.Outcome)
		case i <= len(m.More):
			c.replyOutcome(&m.More[i-1])
		default:
			w.waiting = slices.Insert(w.waiting, 0, burst[i:]...)
			return
		}
	}
}

// replyOutcome answers one message.
func (c *command) replyOutcome(o *wire.Outcome) {
	if refused := o.Err(); refused != nil {
		if !c.permit.OK {
			refused.RetryAfter = c.permit.RetryAfter
		}
		c.fail(refused)
		return
	}
	if o.Duplicate && c.permit.OK {
		c.s.local.core.Quota.Return(c.s.User.ID, c.cost)
	}
	c.s.local.recordAccept(c.context(), time.Since(c.at))
	c.succeed(&event.MessageSent{Message: o.Message, Duplicate: o.Duplicate})
}
