package relay

import (
	"time"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/inline"
)

// user is a user with connections on this edge. Owned by the intake of the user's shard.
// The owner of the shard is sent the newest state, with one command in flight at a time;
// later changes follow in the next one.
type user struct {
	in *intake // static

	user     *wire.User
	rooms    inline.List[string] // joined here; only with presence scope "rooms"
	grace    time.Duration
	version  uint32 // counts changes
	acked    uint32 // the version that the owner has confirmed; 0 means none
	conns    int32
	shard    uint8 // static
	inFlight bool  // a command is under way
}

// UserOpened counts a connection of a user. Beyond atMost connections (0 means no limit)
// it calls refused on the intake's goroutine. The caller owes one UserClosed in any case.
func (r *Relay) UserOpened(u *wire.User, atMost int, refused func()) {
	shard := subject.Shard(u.ID)
	in := r.intake(shard)
	in.mailbox.Post(func() {
		held := in.user(u.ID)
		if held == nil {
			held = &user{in: in, shard: uint8(shard), user: u}
			in.users[shard].add(held)
			in.counts.users.Add(1)
		}
		if held.conns++; held.conns == 1 {
			held.user = u // the name may have changed
			in.sums[shard].users.Add(held.sum())
			held.presenceChanged()
		}
		if atMost > 0 && int(held.conns) > atMost {
			refused()
		}
	})
}

// UserClosed undoes one UserOpened. After a user's last connection others are notified
// when the grace has passed, unless the user has reconnected.
func (r *Relay) UserClosed(id string, grace time.Duration) {
	in := r.intake(subject.Shard(id))
	in.mailbox.Post(func() {
		u := in.user(id)
		if u == nil {
			return
		}
		if u.conns--; u.conns == 0 {
			u.grace = grace
			in.sums[u.shard].users.Remove(u.sum())
			u.presenceChanged()
		}
	})
}

// userRoom records that a user's first connection here has joined a room, or that the
// last one has left it.
func (r *Relay) userRoom(id, room string, joined bool) {
	in := r.intake(subject.Shard(id))
	in.mailbox.Post(func() {
		u := in.user(id)
		if u == nil {
			return
		}
		before := u.sum()
		i := u.rooms.Index(room)
		switch {
		case joined && i < 0:
			u.rooms.Add(room)
		case !joined && i >= 0:
			u.rooms.Remove(i)
		default:
			return
		}
		if u.conns > 0 { // what comes after the last close must not change the rooms held at it
			in.sums[u.shard].users.Remove(before)
			in.sums[u.shard].users.Add(u.sum())
			u.presenceChanged()
		}
	})
}

// sum describes the user and the rooms joined here.
func (u *user) sum() wire.Sum { return wire.UserSum(u.user.ID, u.rooms.Slice()) }

// presenceChanged sends the new state to the owner, or leaves it to the end of the
// command in flight.
func (u *user) presenceChanged() {
	u.version++
	u.sendPresence()
}

// sendPresence sends the newest state to the owner unless a command is in flight.
func (u *user) sendPresence() {
	if u.inFlight {
		return
	}
	u.inFlight = true
	version := u.version
	c := &call{
		deadline: u.in.now.Add(presencePatience),
		alive:    func() bool { return u.version == version },
		done:     func(reply []byte, err error) { u.presenceSent(version, reply, err) },
	}
	if u.conns > 0 {
		m := u.up()
		c.subject, c.data = subject.UserCommand(int(u.shard), subject.OpUserUp), wire.Marshal(&m)
	} else {
		u.acked = 0
		m := wire.UserDown{Origin: u.in.relay.origin, User: u.user.ID, GraceMs: uint64(u.grace.Milliseconds())}
		c.subject, c.data = subject.UserCommand(int(u.shard), subject.OpUserDown), wire.Marshal(&m)
	}
	u.in.lane(userShard, int(u.shard)).submit(c)
}

func (u *user) up() wire.UserUp {
	return wire.UserUp{Origin: u.in.relay.origin, User: *u.user, Rooms: u.rooms.Slice()}
}

// presenceSent handles the outcome of sending the user's presence.
func (u *user) presenceSent(version uint32, reply []byte, err error) {
	u.inFlight = false
	var m wire.Done
	failed := Unpack(reply, err, &m)
	switch {
	case u.version != version:
		u.sendPresence()
	case failed == nil:
		if u.conns > 0 {
			u.acked = version
		}
		u.forgetIfGone()
	case u.conns > 0: // retry: the owner must learn it
		u.in.log.Debug("presence not sent", "event", "relay.user", "user", u.user.ID, "err", failed)
		u.in.retries = append(u.in.retries, u)
	default: // a minute without an owner: the next owner asks for a snapshot
		u.forgetIfGone()
	}
}

// forgetIfGone removes a user without connections.
func (u *user) forgetIfGone() {
	if u.conns == 0 && u.in.user(u.user.ID) == u {
		u.in.users[u.shard].remove(u)
		u.in.counts.users.Add(-1)
	}
}

// retryUsers sends again what could not be sent.
func (in *intake) retryUsers() {
	list := in.retries
	in.retries = nil
	for _, u := range list {
		if u.conns > 0 {
			u.sendPresence()
		} else if !u.inFlight {
			u.forgetIfGone()
		}
	}
}
