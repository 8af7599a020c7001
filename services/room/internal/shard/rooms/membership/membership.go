// Package membership tracks who is a member of one room: which edges hold connections of
// which users, when a user is new and when a user is gone. It has no clock and does no I/O.
package membership

import (
	"time"
	"unique"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/timerheap"
)

// Edge identifies one edge process. Gen grows with every start of the edge ID, so a smaller
// one is an older process.
type Edge struct {
	ID  string
	Gen uint64
}

// maxGrace bounds a grace; the longest in use is 30 s.
const maxGrace = time.Hour

// Room is the members of one room. A user is a member from the first Join until the last
// edge has reported Leave and its grace has passed. During the grace the user is a member
// like any other, because no departure was announced.
//
// Everything is idempotent: a repeated command changes and announces nothing. Commands from
// an older process of an edge about a user are ignored once a newer process holds that user;
// the caller must drop commands of a process that is known to be gone.
//
// The zero value is an empty room without a book. It must be used on its shard's goroutine.
type Room struct {
	id      string // Static, as is book.
	book    *Book
	members roster
	graces  timerheap.Queue[*member] // members that no edge holds any more
	clock   timerheap.Clock
}

// member is one user of the room.
//
// Invariant: first.edge is set; the member is in Room.graces exactly when no
// holder is live, with the latest of the holders' deadlines.
type member struct {
	timerheap.Place
	user   wire.User
	first  holder   // most users are on one edge
	more   []holder // the rest, in no order
	booked holder   // the one that Book.Changed was called with last
}

// holder is an edge that holds connections of a member, or did until recently.
type holder struct {
	edge  unique.Handle[Edge] // 8 bytes; millions of members share a few edges
	until time.Duration       // end of the grace, timerheap.Never while live
}

func (h holder) live() bool { return h.until == timerheap.Never }

// Init sets the room's id, and the book of its shard. It must be called before any other
// method.
func (r *Room) Init(id string, b *Book) { r.id, r.book = id, b }

// Join counts u as a member through e. first reports that userJoined must be broadcast: u was
// not a member, not even in a grace. A Join ends every grace of the user on any edge. The name
// of the latest Join is the one shown.
func (r *Room) Join(now time.Time, e Edge, u wire.User) (first bool) {
	r.clock.At(now)
	return r.addHolder(unique.Make(e), u)
}

func (r *Room) addHolder(e unique.Handle[Edge], u wire.User) (first bool) {
	m := r.members.find(u.ID)
	if m == nil {
		m = &member{user: u, first: holder{e, timerheap.Never}}
		r.members.insert(m)
		r.count(e, u.ID, true)
		r.record(m)
		return true
	}
	m.user.Name = u.Name
	if !m.heldBy(e) {
		r.count(e, u.ID, true)
	}
	held := m.keepHolders(func(h holder) bool {
		if h.live() && supersedes(e, h.edge) {
			r.count(h.edge, u.ID, false)
			return false
		}
		return h.live()
	})
	if !held {
		m.first = holder{e, timerheap.Never}
	} else if !m.heldBy(e) {
		m.more = append(m.more, holder{e, timerheap.Never})
	}
	r.graces.Remove(m)
	r.record(m)
	return false
}

// Leave reports that the last connection of user on e has left. gone reports that userLeft
// must be broadcast now; otherwise Expire returns the user when the grace has passed, unless
// the user returns or another edge holds them. During a grace, another Leave can shorten it,
// never extend it.
func (r *Room) Leave(now time.Time, e Edge, user string, grace time.Duration) (gone bool) {
	m := r.members.find(user)
	if m == nil {
		return false
	}
	at := r.clock.At(now)
	same := unique.Make(e)
	if !r.loseHolders(m, at, at+boundGrace(grace), func(h holder) bool { return h.edge == same }) {
		return false
	}
	return r.dropOrSetGrace(m, at)
}

// LoseEdge ends everything that e, and older processes of the same id, held: Leave for all
// their members at once. It returns the members for whom userLeft must be broadcast now (none
// when grace is positive), sorted by id. It visits every member.
func (r *Room) LoseEdge(now time.Time, e Edge, grace time.Duration) (gone []wire.User) {
	lost := func(h holder) bool {
		v := h.edge.Value()
		return v.ID == e.ID && v.Gen <= e.Gen
	}
	return r.loseEach(now, grace, lost, func(string) bool { return false })
}

// LeaveUnless is Leave for each member that e holds and keep does not accept: the edge does
// not hold them any more. A grace that runs goes on. It visits every member.
func (r *Room) LeaveUnless(now time.Time, e Edge, grace time.Duration, keep func(user string) bool) (gone []wire.User) {
	same := unique.Make(e)
	return r.loseEach(now, grace, func(h holder) bool { return h.edge == same && h.live() }, keep)
}

// loseEach ends what the selected edges hold of members that keep does not accept.
func (r *Room) loseEach(now time.Time, grace time.Duration, lost func(holder) bool, keep func(user string) bool) (gone []wire.User) {
	at := r.clock.At(now)
	var left []*member
	for m := range r.members.all() {
		if keep(m.user.ID) || !r.loseHolders(m, at, at+boundGrace(grace), lost) {
			continue
		}
		if m.pending(at) {
			r.dropOrSetGrace(m, at)
		} else {
			left = append(left, m) // removed below: the roster must not change during the loop
		}
	}
	for _, m := range left {
		gone = append(gone, r.drop(m))
	}
	return gone
}

// Restore replaces what is known of u by what an earlier owner has recorded with Book.Changed.
func (r *Room) Restore(now time.Time, u wire.User, s State) {
	at := r.clock.At(now)
	if m := r.members.find(u.ID); m != nil {
		for _, h := range append(m.more, m.first) {
			if h.live() {
				r.count(h.edge, u.ID, false)
			}
		}
		r.graces.Remove(m)
		r.members.remove(u.ID)
	}
	if s.Gone {
		return
	}
	h := holder{unique.Make(s.Edge), timerheap.Never}
	if !s.Until.IsZero() {
		h.until = at + boundGrace(s.Until.Sub(now))
	}
	m := &member{user: u, first: h, booked: h}
	r.members.insert(m)
	if h.live() {
		r.count(h.edge, u.ID, true)
	} else {
		r.graces.Set(m, h.until)
	}
}

// States calls yield with every member, and what Book.Changed was called with last.
func (r *Room) States(yield func(wire.User, State)) {
	for m := range r.members.all() {
		yield(m.user, r.stateOf(m.booked))
	}
}

// Expire removes and returns the members whose grace has passed at now, in the order of their
// deadlines. The caller must broadcast userLeft for each.
func (r *Room) Expire(now time.Time) (gone []wire.User) {
	if r.graces.Len() == 0 {
		return nil
	}
	at := r.clock.At(now)
	for {
		m, ok := r.graces.Pop(at)
		if !ok {
			return gone
		}
		gone = append(gone, r.drop(m))
	}
}

// Next returns when the next grace passes; false when no member is in a grace.
func (r *Room) Next() (time.Time, bool) {
	at, ok := r.graces.Next()
	if !ok {
		return time.Time{}, false
	}
	return r.clock.Time(at), true
}

// Len returns the number of members.
func (r *Room) Len() int { return r.members.len() }

// Empty reports whether the room has no member, not even one in a grace.
func (r *Room) Empty() bool { return r.members.len() == 0 }

// Has reports whether user is a member.
func (r *Room) Has(user string) bool { return r.members.find(user) != nil }

// User returns the member with that id; false when there is none.
func (r *Room) User(id string) (wire.User, bool) {
	m := r.members.find(id)
	if m == nil {
		return wire.User{}, false
	}
	return m.user, true
}

// Users returns up to limit members, those with the smallest ids, sorted by id. The caller
// owns the slice.
func (r *Room) Users(limit int) []wire.User {
	return r.AppendUsers(make([]wire.User, 0, max(0, min(limit, r.Len()))), limit)
}

// AppendUsers appends the result of Users to dst. It costs O(limit), whatever the size of the
// room, and allocates only when dst is too small.
func (r *Room) AppendUsers(dst []wire.User, limit int) []wire.User {
	for m := range r.members.all() {
		if limit--; limit < 0 {
			break
		}
		dst = append(dst, m.user)
	}
	return dst
}

// boundGrace limits a grace received from an edge.
func boundGrace(grace time.Duration) time.Duration { return min(max(grace, 0), maxGrace) }

// dropOrSetGrace removes m or sets its grace after it lost a holder.
func (r *Room) dropOrSetGrace(m *member, at time.Duration) (gone bool) {
	switch until := m.until(); {
	case until == timerheap.Never:
		r.record(m)
		return false
	case until > at:
		r.graces.Set(m, until)
		r.record(m)
		return false
	default:
		r.drop(m)
		return true
	}
}

func (r *Room) drop(m *member) wire.User {
	r.graces.Remove(m)
	r.members.remove(m.user.ID)
	r.recordGone(m)
	return m.user
}
