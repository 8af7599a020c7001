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
	// room that a client resumes at once. Later pages wait for the socket.
	firstPage = 100
	nextPage  = 200

	// replayBytes is about how much is sent to the connection at a time.
	replayBytes = 32 << 10

	// pagePatience is how long a page may take; then it is asked for again.
	pagePatience = time.Minute

	// retryPage is the pause before a page is asked for again that failed or brought nothing.
	retryPage = time.Second
)

// replay sends a room's missed messages to one connection: page by page, as fast as
// the connection takes them. Owned by the connection's loop.
type replay struct {
	s        *Session
	room     string
	shard    int
	join     *command   // until the first page has come
	seat     relay.Seat // of join
	follower *hub.Follower
	unsent   []wire.Item // of the last page
	waiting  bool        // for the connection to take what it was sent
	asking   bool
	stopped  bool
	timer    poll.Timer // until the next attempt
}

// startReplay takes a seat for a connection that has seen everything up to since.
func (s *Session) startReplay(c *command, seat relay.Seat, since uint64) {
	s.work.endReplay(c.room)
	f, fresh := seat.Room.Follow(&s.Client, since)
	if !fresh {
		s.releaseSeat(c.room, 0)
	}
	r := &replay{s: s, room: c.room, shard: seat.Room.Shard(), join: c, seat: seat, follower: f}
	r.timer.Owner = r
	s.work.replays = append(s.work.replays, r)
	r.askPage(firstPage, c.deadline())
}

// askPage asks the owner for the next page.
func (r *replay) askPage(limit uint64, deadline time.Time) {
	r.asking = true
	q := wire.History{Room: r.room, HasAfter: true, After: r.follower.Position(), Limit: limit}
	r.s.local.core.Relay.RoomCommand(r.shard, subject.OpHist, &q, nil, deadline, r.s.onLoop(func(reply []byte, err error) {
		r.asking = false
		if r.stopped {
			return
		}
		var m wire.Messages
		err = relay.Unpack(reply, err, &m)
		switch {
		case r.join != nil:
			r.endJoin(&m, err)
		case err != nil:
			r.retryLater()
		default:
			r.addPage(&m)
		}
	}))
}

// endJoin answers the join with the first page.
func (r *replay) endJoin(m *wire.Messages, err error) {
	s, c := r.s, r.join
	r.join = nil
	if err != nil { // what is missing is not known: better not joined than joined wrongly
		if room := s.LocalRoom(c.room); room != nil {
			s.leaveRoom(room, 0)
		}
		c.endJoin()
		c.fail(err)
		s.advance()
		return
	}
	recovered := !expired(m, *c.payload.(*event.JoinRoom).Since)
	if !c.welcome(r.seat, &recovered) {
		return
	}
	r.follower.Start()
	r.addPage(m)
	c.endJoin()
	s.advance()
}

// expired reports whether messages after since are not retained any more.
func expired(m *wire.Messages, since uint64) bool {
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

// addPage sends a page.
func (r *replay) addPage(m *wire.Messages) {
	if pos, first := r.follower.Position(), oldest(m); first > pos+1 {
		r.sendGap(pos+1, first-1)
	}
	r.unsent = m.Items
	if len(m.Items) == 0 && !r.follower.Ended() { // the owner knows less than we do
		r.retryLater()
		return
	}
	r.sendUnsent()
}

// sendGap notifies the client that messages are not retained any more. The live
// messages may be further already: then those that wait behind the gap follow it.
func (r *replay) sendGap(from, to uint64) {
	g := event.Gap{RoomID: r.room, From: from, To: to}
	r.s.sendEvent(event.NameGap, g.AppendJSON(nil))
	r.follower.SkipTo(to)
}

// sendUnsent sends what the connection takes of the page, then asks for the next one.
func (r *replay) sendUnsent() {
	r.waiting = false
	for len(r.unsent) > 0 && !r.follower.Ended() {
		if r.s.link().Queued() > r.s.local.core.halfQueue() {
			r.waiting = true
			r.s.link().NotifyDrained()
			return
		}
		n := portion(r.unsent)
		if first := r.unsent[0].Seq; first > r.follower.Position()+1 {
			r.sendGap(r.follower.Position()+1, first-1)
		}
		r.follower.SendPage(r.unsent[:n])
		r.unsent = r.unsent[n:]
	}
	switch {
	case r.follower.Ended():
		r.s.work.endReplay(r.room)
	case !r.asking && r.follower.AwaitsLive(): // for live messages, which it is ahead of
		r.retryLater()
	case !r.asking:
		r.askPage(nextPage, time.Now().Add(pagePatience))
	}
}

// portion is how many of items, which follow each other, are sent at a time.
func portion(items []wire.Item) int {
	n, bytes := 0, 0
	for n < len(items) && bytes < replayBytes && (n == 0 || items[n].Seq == items[n-1].Seq+1) {
		bytes += len(items[n].JSON)
		n++
	}
	return n
}

// retryLater asks again after a while.
func (r *replay) retryLater() {
	l := r.s.local.loop
	l.Arm(&r.timer, l.Tick()+l.Ticks(retryPage))
}

// Expire implements poll.Expirer.
func (r *replay) Expire() { r.sendUnsent() }

// stop ends the replay; answers that are still to come are ignored.
func (r *replay) stop() {
	r.stopped, r.unsent = true, nil
	r.s.local.loop.Disarm(&r.timer)
}

// resumeReplays continues the replays that waited for the connection.
func (w *work) resumeReplays() {
	for _, r := range slices.Clone(w.replays) { // some end
		if r.waiting && !r.stopped {
			r.sendUnsent()
		}
	}
}

// endReplay ends the replay of a room if there is one.
func (w *work) endReplay(room string) {
	i := slices.IndexFunc(w.replays, func(r *replay) bool { return r.room == room })
	if i < 0 {
		return
	}
	w.replays[i].stop()
	w.replays = slices.Delete(w.replays, i, i+1)
	w.releaseIdle()
}
