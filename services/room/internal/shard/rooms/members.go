package rooms

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/liveness"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
)

// Crowd is the number of members above which a room tells numbers instead of names
// (protocol.md 9 D).
const Crowd = 200

// Join counts a user's connection on an edge as a member. Reply: wire.Joined.
func (s *Shard) Join(cmd *wire.Join, reply string) {
	r := s.open(cmd.Room)
	edge, user := membership.Edge{ID: cmd.Edge, Gen: cmd.Gen}, cmd.User
	r.WhenLoaded(func(err error) {
		if err != nil {
			s.cfg.Bus.Publish(reply, &wire.Joined{Fault: wire.FaultOf(err)})
			return
		}
		now := s.cfg.Now()
		s.holders.Add(now, edge)
		first := s.join(now, r, edge, user, cmd.Again)
		m := wire.Joined{Epoch: s.cfg.Epoch, Head: r.Head(), Total: uint64(r.members.Len())}
		if m.Users, m.List = s.list(r); m.List == cmd.List && m.List != 0 {
			m.Users = nil
		}
		s.cfg.Bus.Publish(reply, &m)
		if first {
			s.joined(r, now, user)
		}
	})
}

// join adds a member; first tells that others must hear of it. A member who is
// announced again is news only to an owner that may have told of the departure.
func (s *Shard) join(now time.Time, r *room, e membership.Edge, u wire.User, again bool) (first bool) {
	if r.CreatedMs() == 0 {
		r.SetCreated(uint64(now.UnixMilli()))
		s.cfg.Count.Rooms.Add(1)
	}
	first = r.members.Join(now, e, u) && !(again && now.Sub(s.begun) < liveness.Youth)
	if first {
		r.activeMs = uint64(now.UnixMilli())
	}
	s.census(r)
	if _, due := r.members.Next(); due {
		s.restless[r] = struct{}{}
	}
	return first
}

// Leave says that a user's last connection on an edge has left. Reply: wire.Done.
func (s *Shard) Leave(cmd *wire.Leave, reply string) {
	r := s.rooms[cmd.Room]
	if r == nil {
		s.cfg.Bus.Publish(reply, &wire.Done{})
		return
	}
	edge, user, grace := membership.Edge{ID: cmd.Edge, Gen: cmd.Gen}, cmd.User, time.Duration(cmd.GraceMs)*time.Millisecond
	// In line behind the Join that may still wait for a cold room; it needs no log.
	r.WhenLoaded(func(error) {
		now := s.cfg.Now()
		u, _ := r.members.User(user)
		if r.members.Leave(now, edge, user, grace) {
			s.left(r, now, u)
		}
		s.restless[r] = struct{}{}
		s.cfg.Bus.Publish(reply, &wire.Done{})
	})
}

// list is the users whom a joiner is told, and a name for them in a crowd: whoever
// joins there is told the same as those before, unless his id is among the first.
func (s *Shard) list(r *room) (users []wire.User, name uint64) {
	s.users = r.members.AppendUsers(s.users[:0], event.MaxListed)
	if r.members.Len() <= Crowd {
		r.listed = nil
		return s.users, 0
	}
	if r.listed == nil {
		r.listed = &listed{name: rand.Uint64()} // not one of another owner's
	}
	if !slices.Equal(r.listed.users, s.users) {
		r.listed.users = append(r.listed.users[:0], s.users...)
		r.listed.name++
	}
	return s.users, r.listed.name
}

// joined and left tell the room that a user has come or gone.
func (s *Shard) joined(r *room, now time.Time, u wire.User) {
	if r.members.Len() > Crowd {
		s.crowd(r)
		return
	}
	r.Broadcast(s.memberChange(r, event.NameUserJoined, now, u))
}

func (s *Shard) left(r *room, now time.Time, u wire.User) {
	r.activeMs, r.idleFrom = uint64(now.UnixMilli()), now
	s.census(r)
	s.stopTyping(r, now, u)
	if r.members.Len() > Crowd {
		s.crowd(r)
		return
	}
	r.Broadcast(s.memberChange(r, event.NameUserLeft, now, u))
}

// crowd sees to it that the numbers of a big room are told soon.
func (s *Shard) crowd(r *room) {
	s.chat(r).crowd = true
	s.restless[r] = struct{}{}
}

// Restore takes what an edge's snapshot says of this shard's rooms. A new owner
// tells nobody: the one before has. With announce, users who are new here are
// announced: the edge was given up and is back.
func (s *Shard) Restore(e membership.Edge, rooms []wire.RoomMembers, announce bool) {
	now := s.cfg.Now()
	s.holders.Add(now, e)
	for _, rm := range rooms {
		r := s.open(rm.Room)
		for _, u := range rm.Users {
			if r.members.Join(now, e, u) && announce {
				s.joined(r, now, u)
			}
		}
		s.census(r)
		if !r.Loaded() {
			s.cold = append(s.cold, r)
		}
	}
}

// loadsEach is how many restored rooms each Tick loads: commands must not wait
// behind thousands of them, and a cold one costs the server milliseconds.
const loadsEach = 16

// load loads some of the restored rooms. The old owner may have stored a message
// that it could not broadcast any more: loading a room puts its head into the digest.
func (s *Shard) load() {
	for n := 0; n < loadsEach && len(s.cold) > 0; {
		r := s.cold[0]
		if s.cold = s.cold[1:]; !r.Loaded() {
			n++
			r.WhenLoaded(func(error) {})
		}
	}
}

// census keeps the number of rooms that have members.
func (s *Shard) census(r *room) {
	if r.counted == r.members.Empty() {
		r.counted = !r.counted
		if r.counted {
			s.populous++
		} else {
			s.populous--
		}
	}
}

// loseEdge ends everything that e holds in the shard, after grace.
func (s *Shard) loseEdge(now time.Time, e membership.Edge, grace time.Duration) {
	for _, r := range s.rooms {
		for _, u := range r.members.LoseEdge(now, e, grace) {
			s.left(r, now, u)
		}
		if _, due := r.members.Next(); due {
			s.restless[r] = struct{}{}
		}
	}
}
