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
	s.expectDepartures(r)
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

// Held returns the sum of what e holds here.
func (s *Set) Held(e membership.Edge) wire.Sum { return s.tally.Of(e) }

// Replace makes an edge's snapshot the truth about what the edge holds in this shard's rooms.
// A new owner announces no user: the previous one has. With announce, users who are new here
// are announced.
func (s *Set) Replace(e membership.Edge, rooms []wire.RoomMembers, announce bool) {
	now := s.cfg.Now()
	s.holders.Add(now, e)
	held := make(map[*room]map[string]bool)
	for _, rm := range rooms {
		r := s.open(rm.Room)
		users := held[r]
		if users == nil {
			users = make(map[string]bool, len(rm.Users))
			held[r] = users
		}
		for _, id := range rm.Joining {
			users[id] = true
		}
		for _, u := range rm.Users {
			users[u.ID] = true
			if r.members.Join(now, e, u) && announce {
				s.announceJoin(r, now, u)
			}
		}
		s.countOccupied(r)
		if !r.Loaded() {
			s.unloaded = append(s.unloaded, r)
		}
	}
	for _, r := range s.rooms {
		for _, u := range r.members.LeaveUnless(now, e, liveness.LeftGrace, func(user string) bool { return held[r][user] }) {
			s.memberLeft(r, now, u)
		}
		s.expectDepartures(r)
	}
}

// expectDepartures makes Tick look at r if a grace runs there.
func (s *Set) expectDepartures(r *room) {
	if _, due := r.members.Next(); due {
		s.pending[r] = struct{}{}
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
		s.expectDepartures(r)
	}
}
