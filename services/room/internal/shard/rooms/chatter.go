package rooms

import (
	"time"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/typing"
)

// chatter is what happens in a room between messages. It exists while something
// of it does.
type chatter struct {
	typing  typing.Room
	reads   map[string]mark // by user: read, and not told yet
	readsAt time.Time       // when reads were told last
	crowd   bool            // numbers of a big room have to be told
	crowdAt time.Time       // when they were told last
}

// mark is how far a user has read.
type mark struct {
	user wire.User
	id   string
	seq  uint64
	atMs uint64
}

const (
	// crowdEvery and readsEvery are how often a room tells its numbers, and what
	// its users have read.
	crowdEvery = time.Second
	readsEvery = time.Second

	// crowdRate is how many members a second are told numbers of their room. It is a
	// list of 10 KB, and in a crowd somebody comes or goes all the time: 100 000 lists
	// a second would keep the edges from everything else.
	crowdRate = 10_000
	// crowdMost bounds how long numbers may be old.
	crowdMost = 10 * time.Second
)

// crowdPause is how long a room of so many members waits between two tellings.
func crowdPause(members int) time.Duration {
	return min(max(crowdEvery, time.Duration(members)*time.Second/crowdRate), crowdMost)
}

func (s *Shard) chat(r *room) *chatter {
	if r.chatter == nil {
		r.chatter = &chatter{}
	}
	return r.chatter
}

// Typing says that a member types or has stopped.
func (s *Shard) Typing(cmd *wire.Typing) {
	r := s.rooms[cmd.Room]
	if r == nil || !r.members.Has(cmd.User.ID) || !cmd.On && r.chatter == nil {
		return
	}
	now := s.cfg.Now()
	c := s.chat(r)
	before := c.typing.Len()
	changed := c.typing.Set(now, cmd.User, cmd.On)
	s.typing += c.typing.Len() - before
	s.restless[r] = struct{}{}
	if changed {
		s.tellTyping(r, now, cmd.User, cmd.On)
	}
}

// stopTyping ends the typing of a user who has sent a message or left.
func (s *Shard) stopTyping(r *room, now time.Time, u wire.User) {
	if r.chatter != nil && r.chatter.typing.Drop(u.ID) {
		s.typing--
		s.tellTyping(r, now, u, false)
	}
}

func (s *Shard) tellTyping(r *room, now time.Time, u wire.User, on bool) {
	if r.members.Len() <= Crowd {
		r.Broadcast(userTyping(r, now, u, on))
	}
}

// settle does what is due in r and tells whether more will be.
func (s *Shard) settle(r *room, now time.Time) (more bool) {
	for _, u := range r.members.Expire(now) {
		s.left(r, now, u)
	}
	_, more = r.members.Next()
	c := r.chatter
	if c == nil {
		return more
	}
	ended := c.typing.Expire(now)
	s.typing -= len(ended)
	for _, u := range ended {
		s.tellTyping(r, now, u, false)
	}
	pause := crowdPause(r.members.Len())
	if c.crowd && now.Sub(c.crowdAt) >= pause {
		c.crowd, c.crowdAt = false, now
		s.users = r.members.AppendUsers(s.users[:0], event.MaxListed)
		r.Broadcast(roomUsers(r, s.users))
	}
	if len(c.reads) > 0 && now.Sub(c.readsAt) >= readsEvery {
		for _, m := range c.reads {
			r.Broadcast(messageRead(r, m))
		}
		c.reads, c.readsAt = nil, now
	}
	if c.crowd || len(c.reads) > 0 || c.typing.Len() > 0 ||
		now.Sub(c.crowdAt) < pause || now.Sub(c.readsAt) < readsEvery {
		return true
	}
	r.chatter = nil
	return more
}
