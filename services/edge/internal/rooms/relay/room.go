package relay

import (
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/rooms/stream"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

const (
	// maxPresenceMembers is how many members a room may have and still get presence.
	maxPresenceMembers = 200

	// presencePatience is how long leaves and other presence commands are retried while
	// the shard has no owner: long, because a lost leave leaves a member behind that is gone.
	presencePatience = time.Minute
)

// room is a room that this edge holds. Owned by its intake.
type room struct {
	in  *intake // static
	sub *nats.Subscription

	hub    hub.Room
	stream stream.Stream
	roster roster
	list   *list  // the users of a crowded room, as sent to members that join; else nil
	shown  uint64 // wire.Broadcast.Shown of the newest list that all members here have received

	idle     *idling // in intake.idle, nil when it is not there
	flushDue bool    // in intake.toFlush
	queued   bool    // in intake.repairs
}

// list is a list of users as the owner sends it to members that join. It is immutable.
type list struct {
	name  uint64 // wire.Joined.List
	users []wire.User
}

// Seat is a connection's place in a room.
type Seat struct {
	Room   *hub.LocalRoom
	Joined wire.Joined
	Live   uint64 // every message after this seq will be delivered live
}

// JoinRequest describes a join.
type JoinRequest struct {
	Room     string
	User     *wire.User // must not change any more
	Codec    uint8
	Loop     *poll.Loop
	Header   nats.Header // of the command to the owner; may be nil
	Deadline time.Time
}

// Join asks the owner to count a connection of a user as a member of a room, and opens the
// room on this edge. done runs on the loop, after everything that was sent to the room's
// members there before the seat. It uses the seat, or releases it with Leave. With an
// error there is nothing to release.
func (r *Relay) Join(j JoinRequest, done func(Seat, error)) {
	in := r.intake(subject.Shard(j.Room))
	if !in.mailbox.Post(func() { in.join(j, done) }) {
		j.Loop.Post(func() { done(Seat{}, ErrStopped) })
	}
}

// Leaving describes a leave.
type Leaving struct {
	Room  string
	User  string
	Loop  int
	Codec uint8
	Grace time.Duration // how long others are not notified, in case the user joins again
}

// Leave releases a seat.
func (r *Relay) Leave(l Leaving) {
	in := r.intake(subject.Shard(l.Room))
	in.mailbox.Post(func() {
		if held := in.rooms[l.Room]; held != nil {
			held.hub.Leave(l.Loop, l.Codec)
			in.counts.memberships.Add(-1)
			held.leave(l.User, l.Grace, false)
		}
	})
}

func (in *intake) join(j JoinRequest, done func(Seat, error)) {
	r, err := in.openRoom(j.Room)
	if err != nil {
		j.Loop.Post(func() { done(Seat{}, err) })
		return
	}
	if r.roster.add(j.User) {
		in.sums[r.hub.Shard].members.Add(wire.MemberSum(j.Room, j.User.ID))
	}
	m := wire.Join{Origin: in.relay.origin, Room: j.Room, User: *j.User}
	had := r.list
	if had != nil {
		m.List = had.name
	}
	in.lane(roomShard, r.hub.Shard).submit(&call{
		subject: subject.RoomCommand(r.hub.Shard, subject.OpJoin), header: j.Header, data: wire.Marshal(&m),
		deadline: j.Deadline,
		done:     func(reply []byte, err error) { r.joined(j, had, reply, err, done) },
	})
}

// joined receives the owner's answer to a join that was sent with the list had.
func (r *room) joined(j JoinRequest, had *list, reply []byte, err error, done func(Seat, error)) {
	var m wire.Joined
	if err := Unpack(reply, err, &m); err != nil {
		r.leave(j.User.ID, 0, true) // the owner may have counted the user all the same
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
	if r.shown == 0 { // members who joined earlier have received later events live
		r.shown = m.Shown
	}
	r.stream.Start(in.now, m.Head, &in.out)
	r.deliverOut()
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

// leave counts one connection of a user less, and notifies the owner after the last one. undo
// is wire.Leave.Undo.
func (r *room) leave(user string, grace time.Duration, undo bool) {
	was, last := r.roster.remove(user)
	if !last {
		return
	}
	r.in.sums[r.hub.Shard].members.Remove(wire.MemberSum(r.hub.ID, user))
	if was.known && r.in.relay.roomScope {
		r.in.relay.userRoom(user, r.hub.ID, false)
	}
	if len(r.roster.list) == 0 {
		r.noteEmpty()
	}
	m := wire.Leave{Origin: r.in.relay.origin, Room: r.hub.ID, User: user, GraceMs: uint64(grace.Milliseconds()), Undo: undo}
	r.in.lane(roomShard, r.hub.Shard).submit(&call{
		subject: subject.RoomCommand(r.hub.Shard, subject.OpLeave), data: wire.Marshal(&m),
		deadline: r.in.now.Add(presencePatience),
		alive:    func() bool { return r.roster.find(user) < 0 },
		done:     func([]byte, error) {}, // no caller waits; after a minute a check of the owner corrects it
	})
}

// held returns the open rooms of a shard, in the order of their ids.
func (in *intake) held(shard int) []*room {
	var list []*room
	for _, r := range in.rooms {
		if r.hub.Shard == shard {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *room) int { return strings.Compare(a.hub.ID, b.hub.ID) })
	return list
}
