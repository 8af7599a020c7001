package session

import (
	"slices"
	"time"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

const (
	// firstPage is small: it has to be there before the join is answered, for every
	// room that a client comes back to at once. Later pages wait for the socket.
	firstPage = 100
	nextPage  = 200

	// replayBytes is about how much is given to the connection at a time.
	replayBytes = 32 << 10

	// pagePatience is how long a page may take; then it is asked for again.
	pagePatience = time.Minute

	// retryPage is the pause before a page is asked for again that failed or brought nothing.
	retryPage = time.Second
)

// replay is a room's missed messages on their way to one connection: page by page,
// as fast as the connection takes them. Owned by the connection's loop.
type replay struct {
	s        *Session
	room     string
	shard    int
	follower *hub.Follower
	rest     []wire.Item // of the last page, not given yet
	waiting  bool        // for the connection to take what it was given
	asking   bool
	over     bool
	timer    poll.Timer // until the next attempt
}

// follow takes a seat for a connection that has seen everything up to since.
func (s *Session) follow(c *command, seat relay.Seat, since uint64) {
	s.work.endReplay(c.room)
	f, fresh := seat.Room.Follow(&s.Client, since)
	if !fresh {
		s.giveBack(c.room, 0)
	}
	r := &replay{s: s, room: c.room, shard: seat.Room.Shard(), follower: f, asking: true}
	r.timer.Owner = r
	s.work.replays = append(s.work.replays, r)
	r.ask(firstPage, c.deadline(), func(m *wire.Messages, err error) {
		if err != nil { // what is missing is not known: better not joined than joined wrongly
			if part := s.LocalRoom(c.room); part != nil {
				s.leave(part, 0)
			}
			c.joinEnded()
			c.fail(err)
			s.advance()
			return
		}
		recovered := !gone(m, since)
		if !c.welcome(seat, &recovered) {
			return
		}
		f.Start()
		r.take(m)
		c.joinEnded()
		s.advance()
	})
}

// gone tells whether messages after since are not retained any more.
func gone(m *wire.Messages, since uint64) bool {
	next := oldest(m)
	if len(m.Items) > 0 {
		next = max(next, m.Items[0].Seq)
	}
	return next > since+1
}

// oldest is the first message retained; with none, the one after the last.
func oldest(m *wire.Messages) uint64 {
	if m.Oldest == 0 {
		return m.Head + 1
	}
	return m.Oldest
}

// ask asks the owner for the next page; then runs on the loop unless the replay is
// over by then.
func (r *replay) ask(limit uint64, deadline time.Time, then func(*wire.Messages, error)) {
	r.asking = true
	q := wire.History{Room: r.room, HasAfter: true, After: r.follower.Position(), Limit: limit}
	r.s.local.core.Relay.RoomCommand(r.shard, subject.OpHist, &q, nil, deadline, r.s.onLoop(func(reply []byte, err error) {
		r.asking = false
		if r.over {
			return
		}
		var m wire.Messages
		then(&m, relay.Unpack(reply, err, &m))
	}))
}

// take gives a page.
func (r *replay) take(m *wire.Messages) {
	if pos, first := r.follower.Position(), oldest(m); first > pos+1 {
		r.gap(pos+1, first-1)
	}
	r.rest = m.Items
	if len(m.Items) == 0 && !r.follower.Ended() { // the owner knows less than we do
		r.again()
		return
	}
	r.feed()
}

// gap says that messages are gone. The live messages may be further already: then
// those that wait behind it come by themselves.
func (r *replay) gap(from, to uint64) {
	g := event.Gap{RoomID: r.room, From: from, To: to}
	r.s.tell(event.NameGap, g.AppendJSON(nil))
	r.follower.SkipTo(to)
}

// feed gives what the connection takes of the page, and goes on to the next one.
func (r *replay) feed() {
	r.waiting = false
	for len(r.rest) > 0 && !r.follower.Ended() {
		if r.s.link().Queued() > r.s.local.core.QueueBytes/2 {
			r.waiting = true
			r.s.link().NotifyDrained()
			return
		}
		n := portion(r.rest)
		if first := r.rest[0].Seq; first > r.follower.Position()+1 {
			r.gap(r.follower.Position()+1, first-1)
		}
		r.follower.SendPage(r.rest[:n])
		r.rest = r.rest[n:]
	}
	switch {
	case r.follower.Ended():
		r.s.work.endReplay(r.room)
	case !r.asking && r.follower.AwaitsLive(): // for live messages, which it is ahead of
		r.again()
	case !r.asking:
		r.ask(nextPage, time.Now().Add(pagePatience), func(m *wire.Messages, err error) {
			if err != nil {
				r.again()
				return
			}
			r.take(m)
		})
	}
}

// portion is how many of items, which follow each other, are given at a time.
func portion(items []wire.Item) int {
	n, bytes := 0, 0
	for n < len(items) && bytes < replayBytes && (n == 0 || items[n].Seq == items[n-1].Seq+1) {
		bytes += len(items[n].JSON)
		n++
	}
	return n
}

// again looks after a while whether there is more.
func (r *replay) again() {
	l := r.s.local.loop
	l.Arm(&r.timer, l.Tick()+l.Ticks(retryPage))
}

// Expire implements poll.Expirer.
func (r *replay) Expire() { r.feed() }

// end forgets the replay; answers that are still to come find nobody.
func (r *replay) end() {
	r.over, r.rest = true, nil
	r.s.local.loop.Disarm(&r.timer)
}

// drained lets the replays go on that waited for the connection.
func (w *work) drained() {
	for _, r := range slices.Clone(w.replays) { // some end
		if r.waiting && !r.over {
			r.feed()
		}
	}
}

// endReplay ends the replay of a room if there is one.
func (w *work) endReplay(room string) {
	i := slices.IndexFunc(w.replays, func(r *replay) bool { return r.room == room })
	if i < 0 {
		return
	}
	w.replays[i].end()
	w.replays = slices.Delete(w.replays, i, i+1)
	w.tidy()
}
