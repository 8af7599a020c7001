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

// MaxNamedMembers is the number of members above which a room reports counts instead of names.
const MaxNamedMembers = 200

// Join adds a user's connection on an edge. Reply: wire.Joined.
func (s *Set) Join(cmd *wire.Join, reply string) {
	r := s.open(cmd.Room)
	edge, user := membership.Edge{ID: cmd.Edge, Gen: cmd.Gen}, cmd.User
	r.WhenLoaded(func(err error) {
		if err != nil {
			s.cfg.Publisher.Publish(reply, &wire.Joined{Fault: wire.FaultOf(err)})
			return
		}
		now := s.cfg.Now()
		s.holders.Add(now, edge)
		first := s.addMember(now, r, edge, user, cmd.Again)
		m := wire.Joined{Epoch: s.cfg.Epoch, Head: r.Head(), Total: uint64(r.members.Len())}
		if m.Users, m.List = s.listUsers(r); m.List == cmd.List && m.List != 0 {
			m.Users = nil
		}
		s.cfg.Publisher.Publish(reply, &m)
		if first {
			s.announceJoin(r, now, user)
		}
	})
}

// addMember adds a member; first reports that the join must be announced. A member that an
// edge reports again was announced, unless this owner is old enough to have announced the
// departure.
func (s *Set) addMember(now time.Time, r *room, e membership.Edge, u wire.User, again bool) (first bool) {
	if r.CreatedMs() == 0 {
		r.SetCreated(uint64(now.UnixMilli()))
		s.cfg.Counters.RoomsCreated.Add(1)
	}
	first = r.members.Join(now, e, u) && !(again && now.Sub(s.startedAt) < liveness.MinAnnounceAge)
	if first {
		r.activeMs = uint64(now.UnixMilli())
	}
	s.countOccupied(r)
	if _, due := r.members.Next(); due {
		s.pending[r] = struct{}{}
	}
	return first
}

// Leave removes a user's last connection on an edge. Reply: wire.Done.
func (s *Set) Leave(cmd *wire.Leave, reply string) {
	r := s.rooms[cmd.Room]
	if r == nil {
		s.cfg.Publisher.Publish(reply, &wire.Done{})
		return
	}
	edge, user, grace := membership.Edge{ID: cmd.Edge, Gen: cmd.Gen}, cmd.User, time.Duration(cmd.GraceMs)*time.Millisecond
	// It needs no log, but must not overtake a Join that waits for a cold room.
	r.WhenLoaded(func(error) {
		now := s.cfg.Now()
		u, _ := r.members.User(user)
		if r.members.Leave(now, edge, user, grace) {
			s.memberLeft(r, now, u)
		}
		s.pending[r] = struct{}{}
		s.cfg.Publisher.Publish(reply, &wire.Done{})
	})
}

// listUsers returns the users that a joiner gets, and the version of that list in a large
// room: joiners there get the same list unless their ids are among the first.
func (s *Set) listUsers(r *room) (users []wire.User, name uint64) {
	s.scratchUsers = r.members.AppendUsers(s.scratchUsers[:0], event.MaxListed)
	if r.members.Len() <= MaxNamedMembers {
		r.userList = nil
		return s.scratchUsers, 0
	}
	if r.userList == nil {
		r.userList = &userList{version: rand.Uint64()} // differs from the versions of other owners
	}
	if !slices.Equal(r.userList.users, s.scratchUsers) {
		r.userList.users = append(r.userList.users[:0], s.scratchUsers...)
		r.userList.version++
	}
	return s.scratchUsers, r.userList.version
}

// announceJoin broadcasts that a user has joined.
func (s *Set) announceJoin(r *room, now time.Time, u wire.User) {
	if r.members.Len() > MaxNamedMembers {
		s.scheduleRoomUsers(r)
		return
	}
	r.Broadcast(s.memberChange(r, event.NameUserJoined, now, u))
}

// memberLeft does what follows when u is no longer a member, and broadcasts it.
func (s *Set) memberLeft(r *room, now time.Time, u wire.User) {
	r.activeMs, r.idleFrom = uint64(now.UnixMilli()), now
	s.countOccupied(r)
	s.stopTyping(r, now, u)
	r.reads.Forget(u.ID)
	if r.members.Len() > MaxNamedMembers {
		s.scheduleRoomUsers(r)
		return
	}
	r.Broadcast(s.memberChange(r, event.NameUserLeft, now, u))
}

// scheduleRoomUsers makes a large room broadcast its number of users soon.
func (s *Set) scheduleRoomUsers(r *room) {
	s.ephemeralOf(r).usersDue = true
	s.pending[r] = struct{}{}
}

// Restore applies an edge's snapshot to this shard's rooms. A new owner announces no user: the
// previous one has. With announce, users who are new here are announced: the edge was given up
// and is alive after all.
func (s *Set) Restore(e membership.Edge, rooms []wire.RoomMembers, announce bool) {
	now := s.cfg.Now()
	s.holders.Add(now, e)
	for _, rm := range rooms {
		r := s.open(rm.Room)
		for _, u := range rm.Users {
			if r.members.Join(now, e, u) && announce {
				s.announceJoin(r, now, u)
			}
		}
		s.countOccupied(r)
		if !r.Loaded() {
			s.unloaded = append(s.unloaded, r)
		}
	}
}

// maxLoadsPerTick is how many restored rooms each Tick loads: commands must not wait behind
// thousands of them, and a cold room costs the server milliseconds.
const maxLoadsPerTick = 16

// loadRestored loads some of the restored rooms. The old owner may have stored a message
// without broadcasting it: loading a room puts its head into the digest.
func (s *Set) loadRestored() {
	for n := 0; n < maxLoadsPerTick && len(s.unloaded) > 0; {
		r := s.unloaded[0]
		if s.unloaded = s.unloaded[1:]; !r.Loaded() {
			n++
			r.WhenLoaded(func(error) {})
		}
	}
}

// countOccupied updates the number of rooms with members.
func (s *Set) countOccupied(r *room) {
	if r.counted == r.members.Empty() {
		r.counted = !r.counted
		if r.counted {
			s.occupied++
		} else {
			s.occupied--
		}
	}
}

// loseEdge ends all connections of e in the shard, after grace.
func (s *Set) loseEdge(now time.Time, e membership.Edge, grace time.Duration) {
	for _, r := range s.rooms {
		for _, u := range r.members.LoseEdge(now, e, grace) {
			s.memberLeft(r, now, u)
		}
		if _, due := r.members.Next(); due {
			s.pending[r] = struct{}{}
		}
	}
}
