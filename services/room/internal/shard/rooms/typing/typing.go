// Package typing tracks who is typing in one room. It has no clock and does no I/O.
package typing

import (
	"slices"
	"strings"
	"time"

	"github.com/confab-chat/confab/proto/wire"
)

const (
	// TTL is how long typing lasts without renewal.
	TTL = 5 * time.Second

	// MaxUsers bounds the users tracked in one room; a start in a full room is ignored. Rooms
	// with more than 200 members do not broadcast typing, so clients cannot notice.
	MaxUsers = 256
)

// Room is the users typing in one room. The zero value is empty. It must be used on its
// shard's goroutine.
type Room struct {
	active []entry // by deadline, earliest first: every start or renewal goes to the end
}

type entry struct {
	user  wire.User
	until time.Time
}

// Set starts or stops the typing of user. changed reports that userTyping must be broadcast:
// a repeated start only extends the TTL, and a stop without a start is a no-op.
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

// Stop ends the typing of user, who has sent a message or left. was reports whether they
// were typing.
func (r *Room) Stop(user string) (was bool) {
	i := r.find(user)
	if i < 0 {
		return false
	}
	r.remove(i, i+1)
	return true
}

// Expire removes and returns the users whose TTL has passed at now. The caller must broadcast
// userTyping with isTyping false for each.
func (r *Room) Expire(now time.Time) (ended []wire.User) {
	n := 0
	for n < len(r.active) && !r.active[n].until.After(now) {
		ended = append(ended, r.active[n].user)
		n++
	}
	r.remove(0, n)
	return ended
}

// Next returns when the next TTL passes; false when no user is typing.
func (r *Room) Next() (time.Time, bool) {
	if len(r.active) == 0 {
		return time.Time{}, false
	}
	return r.active[0].until, true
}

// Len returns the number of users typing.
func (r *Room) Len() int { return len(r.active) }

// List returns the users typing, sorted by id. The caller owns the slice.
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
