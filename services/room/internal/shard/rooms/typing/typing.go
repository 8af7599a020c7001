// Package typing decides who types in one room. It has no clock and does no I/O.
package typing

import (
	"slices"
	"strings"
	"time"

	"github.com/confab-chat/confab/proto/wire"
)

const (
	// TTL is how long typing lasts without renewal (protocol.md 4, userTyping).
	TTL = 5 * time.Second

	// MaxUsers bounds those remembered in one room. Rooms above 200 members tell
	// nobody who types (protocol.md 9 D), so more can neither be seen nor missed:
	// whoever starts when the room is full is ignored.
	MaxUsers = 256
)

// Room is who types in one room. The zero value is ready. Not safe for
// concurrent use: the actor of its shard owns it.
type Room struct {
	active []entry // by deadline, earliest first: every start or renewal goes to the end
}

type entry struct {
	user  wire.User
	until time.Time
}

// Set says that user types or has stopped. changed tells that userTyping is due;
// a renewal within TTL only prolongs, and a stop of who does not type is nothing.
func (r *Room) Set(now time.Time, user wire.User, on bool) (changed bool) {
	if !on {
		return r.Stop(user.ID)
	}
	i := r.find(user.ID)
	switch {
	case i >= 0:
		r.active = slices.Delete(r.active, i, i+1)
	case len(r.active) >= MaxUsers:
		return false
	}
	r.active = append(r.active, entry{user, now.Add(TTL)})
	return i < 0
}

// Drop ends the typing of user, who has sent a message or left; was tells
// whether they typed.
func (r *Room) Stop(user string) (was bool) {
	i := r.find(user)
	if i < 0 {
		return false
	}
	r.remove(i, i+1)
	return true
}

// Expire returns and forgets those whose TTL has passed at now: userTyping with
// isTyping false is due for each.
func (r *Room) Expire(now time.Time) (ended []wire.User) {
	n := 0
	for n < len(r.active) && !r.active[n].until.After(now) {
		ended = append(ended, r.active[n].user)
		n++
	}
	r.remove(0, n)
	return ended
}

// Next is when Expire has something to tell; false when nobody types.
func (r *Room) Next() (time.Time, bool) {
	if len(r.active) == 0 {
		return time.Time{}, false
	}
	return r.active[0].until, true
}

// Len is the number of users who type.
func (r *Room) Len() int { return len(r.active) }

// List returns the users who type, sorted by id. The slice is the caller's.
func (r *Room) List() []wire.User {
	users := make([]wire.User, len(r.active))
	for i, e := range r.active {
		users[i] = e.user
	}
	slices.SortFunc(users, func(a, b wire.User) int { return strings.Compare(a.ID, b.ID) })
	return users
}

func (r *Room) find(user string) int {
	return slices.IndexFunc(r.active, func(e entry) bool { return e.user.ID == user })
}

func (r *Room) remove(i, j int) {
	if r.active = slices.Delete(r.active, i, j); len(r.active) == 0 {
		r.active = nil // most rooms are quiet most of the time
	}
}
