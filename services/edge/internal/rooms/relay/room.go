package relay

import (
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/rooms/stream"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

const (
	// idleAfter is how long a room without members stays subscribed: whoever comes
	// back within it costs NATS nothing.
	idleAfter = 30 * time.Second

	// presenceUpTo is how many members a room may have and still be told presence.
	presenceUpTo = 200

	// goodbye is how long the owner is told that a user has left, until somebody
	// listens: long, because a leave that is lost leaves a ghost behind.
	goodbye = time.Minute
)

// room is a room that this edge holds. Owned by its intake.
type room struct {
	in  *intake // static
	sub *nats.Subscription

	hub    hub.Room
	stream stream.Stream
	roster roster
	list   *list // of a crowd's users, for who joins; else nil

	idle    *idling // in intake.idle, nil when it is not there
	touched bool    // in intake.touched
	queued  bool    // in intake.repairs
}

// idling is a room that has had no users since emptyAt, unless some have come again.
type idling struct {
	room     *room
	emptyAt  time.Time
	listedAt time.Time // when it was put into intake.idle
}

// list is users as the owner has listed them for joiners. It never changes.
type list struct {
	name  uint64 // wire.Joined.List
	users []wire.User
}

// Seat is a room as a connection joins it.
type Seat struct {
	Room   *hub.LocalRoom
	Joined wire.Joined
	Live   uint64 // every message after it will be delivered live
}

// JoinRequest asks for a seat.
type JoinRequest struct {
	Room     string
	User     *wire.User // not changed any more
	Codec    uint8
	Loop     *poll.Loop
	Header   nats.Header // of the request to the owner; may be nil
	Deadline time.Time
}

// Join asks the owner to count a connection of a user as a member of a room, and
// begins to hold the room. done runs on the loop, behind everything that the room's
// members there were told before the seat counts. It takes the seat, or gives it
// back with Leave. With an error there is nothing to give back.
func (r *Relay) Join(j JoinRequest, done func(Seat, error)) {
	in := r.intake(subject.Shard(j.Room))
	if !in.post(func() { in.join(j, done) }) {
		j.Loop.Post(func() { done(Seat{}, ErrStopped) })
	}
}

// Leaving says which connection leaves a room.
type Leaving struct {
	Room  string
	User  string
	Loop  int
	Codec uint8
	Grace time.Duration // for how long the others are not told, in case the user comes back
}

// Leave gives a seat back.
func (r *Relay) Leave(l Leaving) {
	in := r.intake(subject.Shard(l.Room))
	in.post(func() {
		if held := in.rooms[l.Room]; held != nil {
			held.hub.Leave(l.Loop, l.Codec)
			in.counts.memberships.Add(-1)
			held.leave(l.User, l.Grace)
		}
	})
}

func (in *intake) join(j JoinRequest, done func(Seat, error)) {
	r, err := in.hold(j.Room)
	if err != nil {
		j.Loop.Post(func() { done(Seat{}, err) })
		return
	}
	r.roster.add(j.User)
	m := wire.Join{Origin: in.relay.Origin(), Room: j.Room, User: *j.User}
	had := r.list
	if had != nil {
		m.List = had.name
	}
	in.lane(roomShard, r.hub.Shard).do(&call{
		subject: subject.RoomCommand(r.hub.Shard, subject.OpJoin), header: j.Header, data: wire.Marshal(&m),
		deadline: j.Deadline,
		done:     func(reply []byte, err error) { r.joined(j, had, reply, err, done) },
	})
}

// joined takes the owner's answer to a join, which was told that we had a list.
func (r *room) joined(j JoinRequest, had *list, reply []byte, err error, done func(Seat, error)) {
	var m wire.Joined
	if err := Unpack(reply, err, &m); err != nil {
		r.leave(j.User.ID, 0) // the owner may have counted the user all the same
		j.Loop.Post(func() { done(Seat{}, err) })
		return
	}
	in := r.in
	in.epochs[r.hub.Shard] = max(in.epochs[r.hub.Shard], m.Epoch)
	r.setTotal(m.Total)
	switch {
	case m.List == 0:
		r.list = nil
	case had != nil && had.name == m.List:
		m.Users = had.users
	default:
		r.list = &list{m.List, m.Users}
	}
	r.stream.Start(in.now, m.Head, &in.out)
	r.emit()
	if i := r.roster.find(j.User.ID); i >= 0 && !r.roster.list[i].known {
		r.roster.list[i].known = true
		if in.relay.roomScope {
			in.relay.userRoom(j.User.ID, r.hub.ID, true)
		}
	}
	live := r.stream.Delivered()
	in.counts.memberships.Add(1)
	r.hub.Enter(j.Loop.Index(), j.Codec, live, func(p *hub.LocalRoom) {
		done(Seat{Room: p, Joined: m, Live: live}, nil)
	})
}

// leave counts one connection of a user less, and tells the owner when it was the last.
func (r *room) leave(user string, grace time.Duration) {
	was, last := r.roster.remove(user)
	if !last {
		return
	}
	if was.known && r.in.relay.roomScope {
		r.in.relay.userRoom(user, r.hub.ID, false)
	}
	if len(r.roster.list) == 0 {
		r.emptied()
	}
	m := wire.Leave{Origin: r.in.relay.Origin(), Room: r.hub.ID, User: user, GraceMs: uint64(grace.Milliseconds())}
	r.in.lane(roomShard, r.hub.Shard).do(&call{
		subject: subject.RoomCommand(r.hub.Shard, subject.OpLeave), data: wire.Marshal(&m),
		deadline: r.in.now.Add(goodbye),
		alive:    func() bool { return !r.roster.has(user) },
		done:     func([]byte, error) {}, // nobody waits; after a minute the next owner's Sync puts it right
	})
}

// hold returns the room of that id, subscribed before anything is asked about it.
func (in *intake) hold(id string) (*room, error) {
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
	r.emptied() // so that a room whose join fails is dropped too
	return r, nil
}

// emptied notes that the room has no users from now on.
func (r *room) emptied() {
	now := r.in.now
	if r.idle == nil {
		r.idle = &idling{room: r, listedAt: now}
		r.in.idle = append(r.in.idle, r.idle)
	}
	r.idle.emptyAt = now
}

// dropIdle lets go of rooms that have been without users for a while.
func (in *intake) dropIdle() {
	kept := in.idle[:0]
	for i, e := range in.idle {
		if in.now.Sub(e.listedAt) < idleAfter { // so are all that follow
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
			in.release(r)
		}
	}
	clear(in.idle[len(kept):])
	in.idle = kept
}

// release forgets a room.
func (in *intake) release(r *room) {
	if err := r.sub.Unsubscribe(); err != nil {
		in.log.Debug("room not unsubscribed", "event", "relay.unsubscribe", "err", err)
	}
	delete(in.rooms, r.hub.ID)
	delete(in.timed, r)
	in.counts.rooms.Add(-1)
}

// held are the rooms of a shard, in the order of their ids.
func (in *intake) held(shard int) []*room {
	var list []*room
	for _, r := range in.rooms {
		if r.hub.Shard == shard {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *room) int {
		if a.hub.ID < b.hub.ID {
			return -1
		}
		return 1
	})
	return list
}
