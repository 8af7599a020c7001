package membership

import (
	"time"
	"unique"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/timerheap"
)

// Book is what the rooms of a shard report to their owner. All of it happens on the shard's
// goroutine, during the calls that change a room.
type Book struct {
	Tally *Tally // of the members that edges hold
	// Changed is called when the state of a member has changed. It must not change the room.
	Changed func(room string, u wire.User, s State)
}

// State is what must be known of a member after its owner has died: an edge that holds the
// member, or the end of its grace.
type State struct {
	Edge  Edge
	Until time.Time // the end of the grace; zero: the edge holds the member
	Gone  bool      // not a member any more; the other fields are not set
}

// count counts a member whom e holds from now on, or does not hold any more.
func (r *Room) count(e unique.Handle[Edge], user string, held bool) {
	switch {
	case r.book == nil:
	case held:
		r.book.Tally.Add(e, wire.MemberSum(r.id, user))
	default:
		r.book.Tally.Remove(e, wire.MemberSum(r.id, user))
	}
}

// record reports the state of m if it has changed.
func (r *Room) record(m *member) {
	if h := m.decisive(); r.book != nil && h != m.booked {
		m.booked = h
		r.book.Changed(r.id, m.user, r.stateOf(h))
	}
}

func (r *Room) recordGone(m *member) {
	if r.book != nil && m.booked != (holder{}) {
		m.booked = holder{}
		r.book.Changed(r.id, m.user, State{Gone: true})
	}
}

// decisive returns the holder on which it depends how long m is a member: the one booked last
// if it still does.
func (m *member) decisive() holder {
	best := m.first
	for _, h := range m.more {
		if h.until > best.until || h.until == best.until && h == m.booked {
			best = h
		}
	}
	return best
}

func (r *Room) stateOf(h holder) State {
	s := State{Edge: h.edge.Value()}
	if h.until != timerheap.Never {
		s.Until = r.clock.Time(h.until)
	}
	return s
}
