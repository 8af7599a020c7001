package rooms

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
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
		first := s.addMember(now, r, edge, user)
		m := wire.Joined{Epoch: s.cfg.Epoch, Head: r.Head(), Total: uint64(r.members.Len()), Shown: s.cfg.Journal.Sent()}
		if m.Users, m.List = s.listUsers(r); m.List == cmd.List && m.List != 0 {
			m.Users = nil
		}
		s.cfg.Publisher.Publish(reply, &m)
		if first {
			s.announceJoin(r, now, user)
		}
	})
}

// addMember adds a member; first reports that the join must be announced.
func (s *Set) addMember(now time.Time, r *room, e membership.Edge, u wire.User) (first bool) {
	if r.CreatedMs() == 0 {
		r.SetCreated(uint64(now.UnixMilli()))
		s.cfg.Counters.RoomsCreated.Add(1)
	}
	if first = r.members.Join(now, e, u); first {
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
		unseen := cmd.Undo && s.withdrawArrival(r, user)
		switch gone := r.members.Leave(now, edge, user, grace); {
		case gone && unseen:
			s.removeTraces(r, now, u)
		case gone:
			s.memberLeft(r, now, u)
		case unseen:
			s.announceJoin(r, now, u) // another edge holds the user
		}
		s.pending[r] = struct{}{}
		s.cfg.Publisher.Publish(reply, &wire.Done{})
	})
}

// listUsers returns the users that a joiner gets, and the version of that list in a large
// room: joiners there get the same list unless their ids are among the first.
func (s *Set) listUsers(r *room) (users []wire.User, name uint64) {
	r.listedAt = s.cfg.Journal.Sent()
	s.scratchUsers = r.appendShown(s.scratchUsers[:0])
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
	key := arrival{r, u.ID}
	s.arrivals[key] = s.cfg.Journal.Announce(wire.News{Kind: wire.NewsJoined, Room: r.ID(), User: u}, 1, func(number uint64) {
		delete(s.arrivals, key)
		r.Broadcast(s.memberChange(r, event.NameUserJoined, now, u, number))
	})
}

// arrival is a user who has joined a room.
type arrival struct {
	room *room
	user string
}

// withdrawArrival takes back the announcement that a user has joined. It returns false when
// there is none, or it is too late.
func (s *Set) withdrawArrival(r *room, user string) bool {
	key := arrival{r, user}
	e := s.arrivals[key]
	delete(s.arrivals, key)
	return e != nil && e.Withdraw()
}

// removeTraces does what follows when u is no longer a member.
func (s *Set) removeTraces(r *room, now time.Time, u wire.User) {
	r.activeMs, r.idleFrom = uint64(now.UnixMilli()), now
	s.countOccupied(r)
	s.stopTyping(r, now, u)
	r.reads.Forget(u.ID)
}

// memberLeft does what follows when u is no longer a member, and announces it.
func (s *Set) memberLeft(r *room, now time.Time, u wire.User) {
	s.removeTraces(r, now, u)
	if r.members.Len() > MaxNamedMembers {
		s.scheduleRoomUsers(r)
		return
	}
	r.departing = append(r.departing, u)
	s.cfg.Journal.Announce(wire.News{Kind: wire.NewsLeft, Room: r.ID(), User: u}, 1, func(number uint64) {
		if r.departing = r.departing[1:]; len(r.departing) == 0 { // announced in order
			r.departing = nil
		}
		r.Broadcast(s.memberChange(r, event.NameUserLeft, now, u, number))
	})
}

// appendShown appends the users that members are shown: those whose departure is not
// announced yet are still among them.
func (r *room) appendShown(dst []wire.User) []wire.User {
	dst = r.members.AppendUsers(dst, event.MaxListed)
	for _, u := range r.departing {
		i, found := slices.BinarySearchFunc(dst, u.ID, func(x wire.User, id string) int { return strings.Compare(x.ID, id) })
		if !found && len(dst) < event.MaxListed {
			dst = slices.Insert(dst, i, u)
		}
	}
	return dst
}

// scheduleRoomUsers makes a large room broadcast its number of users soon.
func (s *Set) scheduleRoomUsers(r *room) {
	s.ephemeralOf(r).usersDue = true
	s.pending[r] = struct{}{}
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
