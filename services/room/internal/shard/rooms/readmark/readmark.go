// Package readmark tracks how far the members of one room have read. It has no clock and does
// no I/O.
package readmark

import "github.com/confab-chat/confab/proto/wire"

// Mark is how far a user has read: up to the message with this id and seq.
type Mark struct {
	User      wire.User
	MessageID string
	Seq       uint64
	AtMs      uint64 // when the user reported it
}

// Room is how far the users of one room have read. A mark never goes back: a user may read on
// several devices, and one of them may report late. A member's mark is kept until they leave,
// that of a user who is not a member until it is broadcast.
//
// The zero value is empty. It must be used on its shard's goroutine.
type Room struct {
	marks map[string]mark // by user id
	due   int             // marks that are due
}

type mark struct {
	Mark
	due bool // to be broadcast
}

// Advance records m unless its user has read further, and returns how far the user has read.
// A recorded mark is due, also when it repeats the last one.
func (r *Room) Advance(m Mark) Mark {
	old := r.marks[m.User.ID]
	if old.Seq > m.Seq {
		return old.Mark
	}
	if r.marks == nil {
		r.marks = make(map[string]mark)
	}
	if !old.due {
		r.due++
	}
	r.marks[m.User.ID] = mark{m, true}
	return m
}

// Due reports whether any mark must be broadcast.
func (r *Room) Due() bool { return r.due > 0 }

// TakeDue returns the marks that must be broadcast, which are not due afterwards, and forgets
// those of users who are not members.
func (r *Room) TakeDue(isMember func(user string) bool) (due []Mark) {
	for user, m := range r.marks {
		if !m.due {
			continue
		}
		due = append(due, m.Mark)
		m.due = false
		r.marks[user] = m
		if !isMember(user) {
			r.remove(user)
		}
	}
	r.due = 0
	return due
}

// Forget forgets the mark of a user who has left, once it is broadcast.
func (r *Room) Forget(user string) {
	if !r.marks[user].due {
		r.remove(user)
	}
}

func (r *Room) remove(user string) {
	if delete(r.marks, user); len(r.marks) == 0 {
		r.marks = nil
	}
}

// Len returns the number of users whose mark is kept.
func (r *Room) Len() int { return len(r.marks) }
