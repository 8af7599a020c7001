package relay

import (
	"time"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/inline"
)

// user is somebody who has connections on this edge. Owned by the intake of the
// user's shard. The owner of the shard is told the newest state, one telling at a
// time; what changes meanwhile is told next.
type user struct {
	in *intake // static

	user    *wire.User
	rooms   inline.List[string] // joined here; only with presence scope "rooms"
	grace   time.Duration
	version uint32 // counts changes
	told    uint32 // the version that the owner knows; 0: it knows of none
	conns   int32
	shard   uint8 // static
	again   bool  // this version was known to an owner before
	flying  bool  // a telling is under way
}

// UserOpened counts a connection of a user. When that is more than atMost (0 = any
// number), refused is called on the intake's goroutine; UserClosed is due all the same.
func (r *Relay) UserOpened(u *wire.User, atMost int, refused func()) {
	shard := subject.Shard(u.ID)
	in := r.intake(shard)
	in.post(func() {
		held := in.user(u.ID)
		if held == nil {
			held = &user{in: in, shard: uint8(shard), user: u}
			in.users[shard].add(held)
			in.counts.users.Add(1)
		}
		if held.conns++; held.conns == 1 {
			held.user = u // the name may have changed
			held.changed()
		}
		if atMost > 0 && int(held.conns) > atMost {
			refused()
		}
	})
}

// UserClosed takes back one UserOpened. The others learn of a last connection
// after the grace, unless the user is back by then.
func (r *Relay) UserClosed(id string, grace time.Duration) {
	in := r.intake(subject.Shard(id))
	in.post(func() {
		u := in.user(id)
		if u == nil {
			return
		}
		if u.conns--; u.conns == 0 {
			u.grace = grace
			u.changed()
		}
	})
}

// userRoom notes that a user's first connection has joined a room here, or that
// the last one has left it.
func (r *Relay) userRoom(id, room string, joined bool) {
	in := r.intake(subject.Shard(id))
	in.post(func() {
		u := in.user(id)
		if u == nil {
			return
		}
		i := u.rooms.Index(room)
		switch {
		case joined && i < 0:
			u.rooms.Add(room)
		case !joined && i >= 0:
			u.rooms.Remove(i)
		default:
			return
		}
		if u.conns > 0 { // what follows the last close must not change what was held at it
			u.changed()
		}
	})
}

// changed tells the owner, unless a telling is under way.
func (u *user) changed() {
	u.again = false
	u.version++
	u.tell()
}

// renewed tells the owner once more, after an outage.
func (u *user) renewed() {
	u.again = u.told == u.version
	u.version++
	u.tell()
}

func (u *user) tell() {
	if u.flying {
		return
	}
	u.flying = true
	version := u.version
	c := &call{
		deadline: u.in.now.Add(goodbye),
		alive:    func() bool { return u.version == version },
		done:     func(reply []byte, err error) { u.toldOf(version, reply, err) },
	}
	if u.conns > 0 {
		m := u.up()
		c.subject, c.data = subject.UserCommand(int(u.shard), subject.OpUserUp), wire.Marshal(&m)
	} else {
		u.told = 0
		m := wire.UserDown{Origin: u.in.relay.Origin(), User: u.user.ID, GraceMs: uint64(u.grace.Milliseconds())}
		c.subject, c.data = subject.UserCommand(int(u.shard), subject.OpUserDown), wire.Marshal(&m)
	}
	u.in.lane(userShard, int(u.shard)).do(c)
}

func (u *user) up() wire.UserUp {
	return wire.UserUp{Origin: u.in.relay.Origin(), User: *u.user, Rooms: u.rooms.Slice(), Again: u.again}
}

// toldOf takes the outcome of a telling.
func (u *user) toldOf(version uint32, reply []byte, err error) {
	u.flying = false
	var m wire.Done
	failed := Unpack(reply, err, &m)
	switch {
	case u.version != version:
		u.tell()
	case failed == nil:
		if u.conns > 0 {
			u.told = version
		}
		u.settle()
	case u.conns > 0: // it must be told some time
		u.in.log.Debug("presence not told", "event", "relay.user", "user", u.user.ID, "err", failed)
		u.in.retries = append(u.in.retries, u)
	default: // after a minute without owner: the next one asks who is here
		u.settle()
	}
}

// settle forgets a user whom nobody needs any more.
func (u *user) settle() {
	if u.conns == 0 && u.in.user(u.user.ID) == u {
		u.in.users[u.shard].remove(u)
		u.in.counts.users.Add(-1)
	}
}

// retryUsers tells again what could not be told.
func (in *intake) retryUsers() {
	list := in.retries
	in.retries = nil
	for _, u := range list {
		if u.conns > 0 {
			u.tell()
		} else if !u.flying {
			u.settle()
		}
	}
}
