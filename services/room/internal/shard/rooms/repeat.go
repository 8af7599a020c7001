package rooms

import (
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
)

// Repeat broadcasts news again. Edges ignore what they have seen.
func (s *Set) Repeat(n *wire.News) {
	name := event.NameUserJoined
	if n.Kind == wire.NewsLeft {
		name = event.NameUserLeft
	}
	r := s.open(n.Room)
	r.Broadcast(s.memberChange(r, name, s.cfg.Now(), n.User, n.Number))
}

// RepeatAll is Repeat for news that an edge has missed, in order. A member that has joined
// after such news was sent a list that includes it, and must not be sent it again: then the
// room's members are sent a new list instead. That is also so for news of the previous owner,
// of which this one does not know who joined after it.
func (s *Set) RepeatAll(news []*wire.News) {
	listed := make(map[*room]bool)
	for _, n := range news {
		switch r := s.rooms[n.Room]; {
		case r != nil && !r.members.Empty() && (listed[r] || n.Number <= max(r.listedAt, s.inherited)):
			listed[r] = true
		default:
			s.Repeat(n)
		}
	}
	for r := range listed {
		s.showMembers(r)
	}
}

// ShowMembers sends a new list to the members of every room: edges have missed news that are
// not known any more.
func (s *Set) ShowMembers() {
	for _, r := range s.rooms {
		s.showMembers(r)
	}
}

// showMembers sends a new list to the members of r. Large rooms send it anyway when it changes.
func (s *Set) showMembers(r *room) {
	if n := r.members.Len(); n > 0 && n <= MaxNamedMembers {
		s.scratchUsers = r.appendShown(s.scratchUsers[:0])
		b := roomUsers(r, s.scratchUsers, s.cfg.Journal.Sent())
		b.Number = b.Shown
		r.Broadcast(b)
	}
}
