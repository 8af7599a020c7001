// Package presence decides who is online among the users of one shard, over all edges, and
// who must be notified. It has no clock and does no I/O.
package presence

import (
	"time"
	"unique"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
	"github.com/confab-chat/confab/shared/timerheap"
)

// Edge identifies one edge process, as in package membership.
type Edge = membership.Edge

// Scope says who is notified about a user (CONFAB_PRESENCE_SCOPE).
type Scope uint8

const (
	ScopeAll   Scope = iota // every other user
	ScopeRooms              // members of the rooms that the user has joined
)

const (
	// maxGrace bounds a grace; the longest in use is 30 s.
	maxGrace = time.Hour

	// staleGrace is how long the rooms reported by a process of an edge count after a newer
	// process of the edge holds the user: the grace of a dead edge.
	staleGrace = 10 * time.Second
)

// Set is the presence of one shard's users. A user's online period begins with the first Up
// and ends when the last edge has reported Down (or was lost) and the grace has passed; until
// then the user is online like any other.
//
// Status and custom status belong to the online period: it begins with StatusOnline and no
// custom status, and a return within the grace keeps both. Of an offline user only the name
// and the end of the last connection are kept: for PastAge, and of at most MaxPast users.
//
// With ScopeRooms an online period is announced to the members of each room once: joining a
// room again is not announced. A user in no room is not announced at all.
//
// Everything is idempotent. A Set must be used on its shard's goroutine.
type Set struct {
	scope  Scope
	users  map[string]*user // online, by id
	online []*user          // the same, for listing; see user.index
	graces timerheap.Queue[*user]
	past   past
	clock  timerheap.Clock
	tally  *membership.Tally

	// Changed is called when what must be known of a user after the owner has died has changed:
	// the user's state, and the rooms joined. It must not change the Set. Nil: nothing is called.
	Changed func(u wire.User, s membership.State, rooms []string)
}

// New returns the presence of a shard of which nothing is known yet.
func New(scope Scope) *Set {
	return &Set{scope: scope, users: make(map[string]*user), past: newPast(), tally: membership.NewTally()}
}

// Held returns the sum of what e holds.
func (s *Set) Held(e Edge) wire.Sum { return s.tally.Of(e) }

// Up reports that e holds connections of u, who is in rooms there (the complete list each
// time; ScopeAll ignores it). It ends every grace of the user on any edge.
func (s *Set) Up(now time.Time, e Edge, u wire.User, rooms []string) []Event {
	x, first := s.connect(now, e, u, rooms)
	if s.scope == ScopeAll {
		if first {
			return []Event{x.event(Online, nil)}
		}
		return nil
	}
	known := x.announced
	fresh := x.announceRooms()
	if len(fresh) == 0 {
		return nil
	}
	ev := x.event(Online, fresh)
	ev.Known = known
	return []Event{ev}
}

// Down reports that the last connection of user on e has closed. Unless another edge holds
// the user, Offline is due now or, after grace, from Expire. During a grace, another Down can
// shorten it, never extend it.
func (s *Set) Down(now time.Time, e Edge, user string, grace time.Duration) []Event {
	x := s.users[user]
	if x == nil {
		return nil
	}
	h := unique.Make(e)
	return s.endHoldings(nil, x, now, grace, func(of *holder) bool { return of.edge == h })
}

// LoseEdge ends everything that e, and older processes of the same id, held: Down for all
// their users at once. It visits every user of the shard.
func (s *Set) LoseEdge(now time.Time, e Edge, grace time.Duration) []Event {
	lost := func(of *holder) bool {
		v := of.edge.Value()
		return v.ID == e.ID && v.Gen <= e.Gen
	}
	return s.endEach(now, grace, lost, func(string) bool { return false })
}

// DownUnless is Down for each user that e holds and keep does not accept: the edge does not
// hold them any more. A grace that runs goes on. It visits every user of the shard.
func (s *Set) DownUnless(now time.Time, e Edge, grace time.Duration, keep func(user string) bool) []Event {
	h := unique.Make(e)
	return s.endEach(now, grace, func(of *holder) bool { return of.edge == h && of.live() }, keep)
}

// endEach ends what the selected edges hold of users that keep does not accept.
func (s *Set) endEach(now time.Time, grace time.Duration, lost func(*holder) bool, keep func(user string) bool) (events []Event) {
	for i := len(s.online) - 1; i >= 0; i-- { // from the end: endHoldings may move the last one to index i
		if x := s.online[i]; !keep(x.info.ID) {
			events = s.endHoldings(events, x, now, grace, lost)
		}
	}
	return events
}

// UpSilently is Up without events: the previous owner has announced the user.
func (s *Set) UpSilently(now time.Time, e Edge, u wire.User, rooms []string) {
	x, _ := s.connect(now, e, u, rooms)
	x.announceRooms()
}

// Restore replaces what is known of u by what an earlier owner has recorded with Changed.
func (s *Set) Restore(now time.Time, u wire.User, state membership.State, rooms []string) {
	if x := s.users[u.ID]; x != nil {
		for i := range x.holders {
			if h := &x.holders[i]; h.live() {
				s.tally.Remove(h.edge, x.sum(h))
			}
		}
		s.remove(x)
	}
	if state.Gone {
		return
	}
	x := &user{info: u, status: StatusOnline}
	s.insert(x)
	at := s.clock.At(now)
	h := holder{edge: unique.Make(state.Edge), until: timerheap.Never, rooms: sorted(rooms)}
	if state.Until.IsZero() {
		s.tally.Add(h.edge, x.sum(&h))
	} else {
		h.until = at + min(max(state.Until.Sub(now), 0), maxGrace)
		x.lastSeen = now
		s.graces.Set(x, h.until)
	}
	x.holders = []holder{h}
	x.announced = h.rooms
	x.booked = booked{h.edge, h.until, h.rooms}
}

// States calls yield with every user who is online, as Changed was called last.
func (s *Set) States(yield func(u wire.User, state membership.State, rooms []string)) {
	for _, x := range s.online {
		state, rooms := s.stateOf(x.booked)
		yield(x.info, state, rooms)
	}
}

// record reports what has changed of x.
func (s *Set) record(x *user) {
	if b := x.decisive(); s.Changed != nil && !b.equal(&x.booked) {
		x.booked = b
		state, rooms := s.stateOf(b)
		s.Changed(x.info, state, rooms)
	}
}

func (s *Set) stateOf(b booked) (membership.State, []string) {
	state := membership.State{Edge: b.edge.Value()}
	if b.until != timerheap.Never {
		state.Until = s.clock.Time(b.until)
	}
	return state, b.rooms
}

// Expire ends the online period of the users whose grace has passed at now.
func (s *Set) Expire(now time.Time) (events []Event) {
	s.past.expire(now)
	if s.graces.Len() == 0 {
		return nil
	}
	at := s.clock.At(now)
	for {
		x, ok := s.graces.Pop(at)
		if !ok {
			return events
		}
		events = s.disconnect(events, x, now)
	}
}

// Next returns when the next grace passes; false when no user is in a grace.
func (s *Set) Next() (time.Time, bool) {
	at, ok := s.graces.Next()
	if !ok {
		return time.Time{}, false
	}
	return s.clock.Time(at), true
}

// SetStatus sets the status and custom status of u, and announces them even if they are
// unchanged. It returns ErrStatus or ErrOffline, and then changes nothing. The caller must
// have checked custom.
func (s *Set) SetStatus(now time.Time, u wire.User, status, custom string) ([]Event, error) {
	switch status {
	case StatusOnline, StatusAway, StatusBusy:
	default:
		return nil, ErrStatus
	}
	x := s.users[u.ID]
	if x == nil {
		return nil, ErrOffline
	}
	x.info.Name, x.status, x.custom = u.Name, status, custom
	return []Event{x.event(Update, x.rooms(s.clock.At(now)))}, nil
}

// Get returns what is known of users, in their order. A user who was never seen, or was
// forgotten, is offline without a name or a time.
func (s *Set) Get(now time.Time, users []string) []wire.Presence {
	all := make([]wire.Presence, len(users))
	for i, id := range users {
		if x := s.users[id]; x != nil {
			all[i] = x.presence(now)
		} else {
			all[i] = s.past.get(now, id)
		}
	}
	return all
}

// Online returns up to limit users who are online, in no particular order.
func (s *Set) Online(now time.Time, limit int) []wire.Presence {
	some := s.online[:min(max(limit, 0), len(s.online))]
	all := make([]wire.Presence, len(some))
	for i, x := range some {
		all[i] = x.presence(now)
	}
	return all
}

// OnlineCount returns the number of users who are online.
func (s *Set) OnlineCount() int { return len(s.online) }

// connect makes e a holder of u; first reports that an online period begins.
func (s *Set) connect(now time.Time, e Edge, u wire.User, rooms []string) (x *user, first bool) {
	at := s.clock.At(now)
	x = s.users[u.ID]
	if first = x == nil; first {
		x = &user{info: u, status: StatusOnline}
		s.insert(x)
	}
	x.info.Name = u.Name
	if s.scope == ScopeAll {
		rooms = nil
	}
	x.addHolder(at, unique.Make(e), sorted(rooms), s.tally)
	s.graces.Remove(x)
	s.record(x)
	return x, first
}

func (s *Set) insert(x *user) {
	x.index = len(s.online)
	s.users[x.info.ID] = x
	s.online = append(s.online, x)
	s.past.remove(x.info.ID)
}

func (s *Set) remove(x *user) {
	s.graces.Remove(x)
	delete(s.users, x.info.ID)
	last := len(s.online) - 1
	s.online[x.index] = s.online[last]
	s.online[x.index].index = x.index
	s.online[last] = nil
	s.online = s.online[:last]
}

// endHoldings ends what the selected edges hold of x. If no edge is left, it appends the
// departure to events or schedules it.
func (s *Set) endHoldings(events []Event, x *user, now time.Time, grace time.Duration, lost func(*holder) bool) []Event {
	at := s.clock.At(now)
	if !x.loseHolders(at, at+min(max(grace, 0), maxGrace), lost, s.tally) {
		return events
	}
	until := x.until()
	if until == timerheap.Never {
		s.record(x)
		return events
	}
	if x.lastSeen.IsZero() {
		x.lastSeen = now
	}
	if until > at {
		s.graces.Set(x, until)
		s.record(x)
		return events
	}
	return s.disconnect(events, x, now)
}

// disconnect ends the online period of x.
func (s *Set) disconnect(events []Event, x *user, now time.Time) []Event {
	s.remove(x)
	if s.Changed != nil {
		s.Changed(x.info, membership.State{Gone: true}, nil)
	}
	s.past.add(now, x.info, x.lastSeen)

	x.status, x.custom = StatusOffline, ""
	rooms := x.rooms(-timerheap.Never)
	if s.scope == ScopeRooms && len(rooms) == 0 {
		return events
	}
	return append(events, x.event(Offline, rooms))
}
