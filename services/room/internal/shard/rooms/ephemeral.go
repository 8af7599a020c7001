package rooms

import (
	"time"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/typing"
)

// ephemeral is the state of a room in which something is due: typing, read marks or counts. It
// is never stored, and most rooms have none.
type ephemeral struct {
	typing      typing.Room
	readsSentAt time.Time // when read marks were broadcast last
	usersDue    bool      // roomUsers of a large room is due
	usersSentAt time.Time // when it was broadcast last
}

const (
	// roomUsersMin and readsEvery are how often a room broadcasts its users and what they have
	// read.
	roomUsersMin = time.Second
	readsEvery   = time.Second

	// roomUsersRate is to how many members a second a large room sends its users. That is a list
	// of 10 KB, and in a large room users join and leave all the time: 100 000 lists a second would
	// occupy the edges.
	roomUsersRate = 10_000
	// roomUsersMax bounds how old the number of users may be.
	roomUsersMax = 10 * time.Second
)

// roomUsersInterval returns how long a room with so many members waits between two roomUsers.
func roomUsersInterval(members int) time.Duration {
	return min(max(roomUsersMin, time.Duration(members)*time.Second/roomUsersRate), roomUsersMax)
}

func (s *Set) ephemeralOf(r *room) *ephemeral {
	if r.ephemeral == nil {
		r.ephemeral = &ephemeral{}
	}
	return r.ephemeral
}

// Typing starts or stops the typing of a member. It has no reply.
func (s *Set) Typing(cmd *wire.Typing) {
	r := s.rooms[cmd.Room]
	if r == nil || !r.members.Has(cmd.User.ID) || !cmd.On && r.ephemeral == nil {
		return
	}
	now := s.cfg.Now()
	c := s.ephemeralOf(r)
	before := c.typing.Len()
	changed := c.typing.Set(now, cmd.User, cmd.On)
	s.typing += c.typing.Len() - before
	s.pending[r] = struct{}{}
	if changed {
		s.broadcastTyping(r, now, cmd.User, cmd.On)
	}
}

// stopTyping ends the typing of a user who has sent a message or left.
func (s *Set) stopTyping(r *room, now time.Time, u wire.User) {
	if r.ephemeral != nil && r.ephemeral.typing.Stop(u.ID) {
		s.typing--
		s.broadcastTyping(r, now, u, false)
	}
}

func (s *Set) broadcastTyping(r *room, now time.Time, u wire.User, on bool) {
	if r.members.Len() <= MaxNamedMembers {
		r.Broadcast(userTyping(r, now, u, on))
	}
}

// runPending does what is due in r, and reports whether more will be.
func (s *Set) runPending(r *room, now time.Time) (more bool) {
	for _, u := range r.members.Expire(now) {
		s.memberLeft(r, now, u)
	}
	_, more = r.members.Next()
	c := r.ephemeral
	if c == nil {
		return more
	}
	ended := c.typing.Expire(now)
	s.typing -= len(ended)
	for _, u := range ended {
		s.broadcastTyping(r, now, u, false)
	}
	pause := roomUsersInterval(r.members.Len())
	if c.usersDue && now.Sub(c.usersSentAt) >= pause {
		c.usersDue, c.usersSentAt = false, now
		s.scratchUsers = r.members.AppendUsers(s.scratchUsers[:0], event.MaxListed)
		r.Broadcast(roomUsers(r, s.scratchUsers, s.cfg.Journal.Sent()))
	}
	if r.reads.Due() && now.Sub(c.readsSentAt) >= readsEvery {
		for _, m := range r.reads.TakeDue(r.members.Has) {
			r.Broadcast(messageRead(r, m))
		}
		c.readsSentAt = now
	}
	if c.usersDue || r.reads.Due() || c.typing.Len() > 0 ||
		now.Sub(c.usersSentAt) < pause || now.Sub(c.readsSentAt) < readsEvery {
		return true
	}
	r.ephemeral = nil
	return more
}
