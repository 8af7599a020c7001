package relay

import (
	"time"

	"github.com/confab-chat/confab/proto/subject"
)

// idleAfter is how long a room without members stays subscribed. A member that joins again
// within it costs NATS nothing.
const idleAfter = 30 * time.Second

// idling is a room that had no users at emptyAt. It may have some again.
type idling struct {
	room     *room
	emptyAt  time.Time
	listedAt time.Time // when it was put into intake.idle
}

// openRoom returns the room with that id. It is subscribed before any command about it is
// sent.
func (in *intake) openRoom(id string) (*room, error) {
	if r := in.rooms[id]; r != nil {
		return r, nil
	}
	token := subject.Token(id)
	shard := subject.ShardOf(token)
	r := &room{in: in}
	r.hub.Init(in.hub, id, shard)
	sub, err := in.nc.ChanSubscribe(subject.RoomBroadcast(shard, token), in.in)
	if err != nil {
		in.log.Error("room not subscribed", "event", "relay.subscribe", "err", err)
		return nil, ErrStopped
	}
	r.sub = sub
	in.rooms[id] = r
	in.counts.rooms.Add(1)
	r.noteEmpty() // so that a room whose join fails is closed too
	return r, nil
}

// noteEmpty records that the room has no users from now on.
func (r *room) noteEmpty() {
	now := r.in.now
	if r.idle == nil {
		r.idle = &idling{room: r, listedAt: now}
		r.in.idle = append(r.in.idle, r.idle)
	}
	r.idle.emptyAt = now
}

// dropIdle closes rooms that have had no users for a while.
func (in *intake) dropIdle() {
	kept := in.idle[:0]
	for i, e := range in.idle {
		if in.now.Sub(e.listedAt) < idleAfter { // the rest is younger
			kept = append(kept, in.idle[i:]...)
			break
		}
		switch r := e.room; {
		case len(r.roster.list) > 0:
			r.idle = nil
		case in.now.Sub(e.emptyAt) < idleAfter: // it had users in between
			e.listedAt = in.now
			kept = append(kept, e)
		default:
			in.closeRoom(r)
		}
	}
	clear(in.idle[len(kept):])
	in.idle = kept
}

// closeRoom unsubscribes a room and forgets it.
func (in *intake) closeRoom(r *room) {
	if err := r.sub.Unsubscribe(); err != nil {
		in.log.Debug("room not unsubscribed", "event", "relay.unsubscribe", "err", err)
	}
	delete(in.rooms, r.hub.ID)
	delete(in.withTimer, r)
	in.counts.rooms.Add(-1)
}
