// Package membership decides who is a member of one room: which edges hold
// connections of which users, when somebody is new and when somebody is gone.
// It has no clock and does no I/O.
package membership

import (
	"time"
	"unique"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/timerheap"
)

// Edge names one edge process. Gen grows with every start of the edge ID, so a
// smaller one is a process that is gone.
type Edge struct {
	ID  string
	Gen uint64
}

// maxGrace bounds a grace; the longest in use is 30 s (protocol.md 9 E).
const maxGrace = time.Hour

// Room is who is in one room. A user is a member from the first Join until the
// last edge that held them has let go and its grace has passed; in their grace
// they are members like any other, because nobody has been told otherwise.
//
// Everything is idempotent: a command that is repeated changes and announces
// nothing. What an older process of an edge says about a user is ignored once a
// newer process of it holds that user; commands of a process that is known to be
// gone are the caller's to drop.
//
// The zero value is an empty room. A Room is not safe for concurrent use: the
// actor of its shard owns it.
type Room struct {
	members roster
	graces  timerheap.Queue[*member] // members whom no edge holds any more
	clock   timerheap.Clock
}

// member is one user of the room.
//
// Invariant: first.edge is set; the member is in Room.graces exactly when no
// holder is live, with the latest of the holders' deadlines.
type member struct {
	timerheap.Place
	user  wire.User
	first holder   // most users are on one edge
	more  []holder // the rest, in no order
}

// holder is an edge that holds connections of a member, or did until lately.
type holder struct {
	edge  unique.Handle[Edge] // 8 bytes; the same few edges stand in millions of members
	until time.Duration       // end of the grace, timerheap.Never while live
}

func (h holder) live() bool { return h.until == timerheap.Never }

// Join counts u as a member through e. first tells that userJoined is due: u was
// no member, and in no grace. A Join ends every grace of the user on any edge:
// they are back. The name of the latest Join is the one that shows.
func (r *Room) Join(now time.Time, e Edge, u wire.User) (first bool) {
	r.clock.At(now)
	return r.addHolder(unique.Make(e), u)
}

func (r *Room) addHolder(e unique.Handle[Edge], u wire.User) (first bool) {
	m := r.members.find(u.ID)
	if m == nil {
		r.members.insert(&member{user: u, first: holder{e, timerheap.Never}})
		return true
	}
	m.user.Name = u.Name
	held := m.keepHolders(func(h holder) bool { return h.live() && !supersedes(e, h.edge) })
	if !held {
		m.first = holder{e, timerheap.Never}
	} else if !m.heldBy(e) {
		m.more = append(m.more, holder{e, timerheap.Never})
	}
	r.graces.Remove(m)
	return false
}

// Leave says that the last connection of user on e has left. gone tells that
// userLeft is due now; otherwise Expire tells when the grace has passed, unless
// the user comes back or another edge holds them. While a grace runs, another
// Leave can shorten it, never prolong it.
func (r *Room) Leave(now time.Time, e Edge, user string, grace time.Duration) (gone bool) {
	m := r.members.find(user)
	if m == nil {
		return false
	}
	at := r.clock.At(now)
	same := unique.Make(e)
	if !m.loseHolders(at, at+boundGrace(grace), func(h unique.Handle[Edge]) bool { return h == same }) {
		return false
	}
	return r.dropOrSetGrace(m, at)
}

// LoseEdge ends everything that e, and older processes of the same id, held:
// Leave for all of their members at once. It returns those for whom userLeft is
// due now (none when grace is positive), sorted by id. It visits every member.
func (r *Room) LoseEdge(now time.Time, e Edge, grace time.Duration) (gone []wire.User) {
	at := r.clock.At(now)
	lost := func(h unique.Handle[Edge]) bool {
		v := h.Value()
		return v.ID == e.ID && v.Gen <= e.Gen
	}
	var left []*member
	for m := range r.members.all() {
		if !m.loseHolders(at, at+boundGrace(grace), lost) {
			continue
		}
		if m.pending(at) {
			r.dropOrSetGrace(m, at)
		} else {
			left = append(left, m) // not dropped here: the roster must not change under the loop
		}
	}
	for _, m := range left {
		gone = append(gone, r.drop(m))
	}
	return gone
}

// Restore counts users as members through e and announces nobody: it is how the
// new owner of a shard learns from an edge's snapshot what the old one knew. It
// adds only; apply it in order with the other commands of the same edge.
func (r *Room) Restore(e Edge, users []wire.User) {
	h := unique.Make(e)
	for _, u := range users {
		r.addHolder(h, u)
	}
}

// Expire returns the members whose grace has passed at now and forgets them:
// userLeft is due for each. In order of their deadlines.
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

// Next is when Expire has something to tell; false when nobody is in a grace.
func (r *Room) Next() (time.Time, bool) {
	at, ok := r.graces.Next()
	if !ok {
		return time.Time{}, false
	}
	return r.clock.Time(at), true
}

// Len is the number of members.
func (r *Room) Len() int { return r.members.len() }

// Empty tells that the room has no member, not even one in a grace.
func (r *Room) Empty() bool { return r.members.len() == 0 }

// Has tells whether user is a member.
func (r *Room) Has(user string) bool { return r.members.find(user) != nil }

// Users returns up to limit members, those with the smallest ids, sorted by id.
// The slice is the caller's.
func (r *Room) Users(limit int) []wire.User {
	return r.AppendUsers(make([]wire.User, 0, max(0, min(limit, r.Len()))), limit)
}

// AppendUsers appends what Users returns to dst. It costs O(limit), whatever the
// size of the room, and allocates only when dst is too small.
func (r *Room) AppendUsers(dst []wire.User, limit int) []wire.User {
	for m := range r.members.all() {
		if limit--; limit < 0 {
			break
		}
		dst = append(dst, m.user)
	}
	return dst
}

// bounded keeps a grace, which comes from the wire, within sane limits.
func boundGrace(grace time.Duration) time.Duration { return min(max(grace, 0), maxGrace) }

// settle drops m or (re)sets its grace after it lost a holder.
func (r *Room) dropOrSetGrace(m *member, at time.Duration) (gone bool) {
	switch until := m.until(); {
	case until == timerheap.Never:
		return false
	case until > at:
		r.graces.Set(m, until)
		return false
	default:
		r.drop(m)
		return true
	}
}

func (r *Room) drop(m *member) wire.User {
	r.graces.Remove(m)
	r.members.remove(m.user.ID)
	return m.user
}
