package hub

import (
	"slices"

	"github.com/confab-chat/confab/proto/wire"
)

// A client that reconnects names the last message that it received. What it had
// received in its other rooms follows from the order in which its loop delivered
// messages to members, which is the same for all of them. The delivery log keeps that
// order. There is one per loop, and only where clients reconnect that way.

// maxDeliveries is how many deliveries back a log goes.
const maxDeliveries = 8192

// deliveryLog is the order of a loop's latest deliveries of messages, as a ring.
type deliveryLog struct {
	ring [maxDeliveries]delivery
	end  uint64 // number of deliveries so far; the last is at (end-1) % maxDeliveries
}

// delivery is messages of one room that were delivered together.
type delivery struct {
	room        string
	first, last uint64
}

// Position is a message of a room.
type Position = wire.RoomPosition

// DeliveryMark records what a client had been sent at one moment. It is immutable.
type DeliveryMark struct {
	rooms            []markedRoom
	end, memberSince uint64 // in the log; what came before memberSince came as history
	membersOnly      bool   // the client was a member, not a follower, of every room
}

type markedRoom struct {
	room       string
	from, sent uint64
}

// KeepDeliveryLog makes the loop record its deliveries from now on, for DeliveryMark.
func (l *Local) KeepDeliveryLog() {
	if l.deliveries == nil {
		l.deliveries = &deliveryLog{}
	}
}

func (l *Local) deliveryLogEnd() uint64 {
	if l.deliveries == nil {
		return 0
	}
	return l.deliveries.end
}

// logDelivery records messages that members were sent, if any of those members use a
// codec whose clients can recover. frames are those codecs'.
func (l *Local) logDelivery(room string, posts []post, frames [][]byte) {
	log := l.deliveries
	if log != nil && slices.ContainsFunc(frames, func(f []byte) bool { return f != nil }) {
		log.ring[log.end%maxDeliveries] = delivery{room, posts[0].first, posts[len(posts)-1].last}
		log.end++
	}
}

// noteCaughtUp updates memberSince if c follows no room any more.
func (c *Client) noteCaughtUp(l *Local) {
	for i := range c.Rooms() {
		if c.memberships.At(i).follower != nil {
			return
		}
	}
	c.memberSince = l.deliveryLogEnd()
}

// DeliveryMark records what c has been sent so far.
func (l *Local) DeliveryMark(c *Client) DeliveryMark {
	mark := DeliveryMark{end: l.deliveryLogEnd(), memberSince: c.memberSince, membersOnly: true}
	for i := range c.Rooms() {
		m := c.memberships.At(i)
		sent := m.room.live
		if m.follower != nil {
			mark.membersOnly, sent = false, m.follower.pos
		}
		mark.rooms = append(mark.rooms, markedRoom{m.room.room.ID, m.from, max(m.from, sent)})
	}
	return mark
}

// PositionsAt returns how far the client had come in each of its rooms when last was the
// last message that it received. It returns false if that is not certain.
func (l *Local) PositionsAt(mark DeliveryMark, last Position) ([]Position, bool) {
	received := make([]Position, len(mark.rooms))
	for i, r := range mark.rooms {
		received[i] = Position{Room: r.room, Seq: r.sent}
	}
	switch {
	case len(mark.rooms) == 0:
		return nil, true
	case len(mark.rooms) == 1 && mark.rooms[0].room == last.Room:
		r := &mark.rooms[0]
		received[0].Seq = max(r.from, last.Seq)
		return received, received[0].Seq <= r.sent
	case !mark.membersOnly || l.deliveries == nil:
		return nil, false
	}
	log := l.deliveries
	for n := mark.end; n > mark.memberSince && n+maxDeliveries > log.end; n-- {
		d := &log.ring[(n-1)%maxDeliveries]
		i := slices.IndexFunc(mark.rooms, func(r markedRoom) bool { return r.room == d.room })
		if d.room == last.Room && d.first <= last.Seq && last.Seq <= d.last {
			if i >= 0 {
				received[i].Seq = max(mark.rooms[i].from, last.Seq)
			}
			return received, true
		}
		if i >= 0 {
			received[i].Seq = max(mark.rooms[i].from, d.first-1)
		}
	}
	return nil, false
}
