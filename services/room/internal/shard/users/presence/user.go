package presence

import (
	"slices"
	"time"
	"unique"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
	"github.com/confab-chat/confab/shared/timerheap"
)

// maxAnnounced is how many rooms, beyond those held now, a user is remembered to have been
// announced to. A user who visits more is announced in the first ones again.
const maxAnnounced = 256

// maxHolders bounds the holders of a user who keeps losing and making connections within the
// grace; above it, the oldest that is not live is removed.
const maxHolders = 32

// user is one user who is online.
//
// Invariant: a user is in Set.graces exactly when no holder is live, with the latest deadline
// of the holders that are not back.
type user struct {
	timerheap.Place
	info           wire.User
	status, custom string
	holders        []holder
	announced      []string  // rooms that this online period was announced to, sorted; replaced, never changed in place
	lastSeen       time.Time // when the last connection closed, zero while an edge holds the user
	index          int       // in Set.online
	booked         booked    // what Set.Changed was called with last
}

// booked is what a new owner must know of a user: the holder on which it depends how long the
// user is online, and the rooms joined.
type booked struct {
	edge  unique.Handle[Edge]
	until time.Duration
	rooms []string
}

func (b *booked) equal(o *booked) bool {
	return b.edge == o.edge && b.until == o.until && slices.Equal(b.rooms, o.rooms)
}

// decisive returns what must be booked of x: with the holder that was booked last if it still
// decides.
func (x *user) decisive() booked {
	best := booked{until: -timerheap.Never}
	for _, h := range x.holders {
		if !h.back && (h.until > best.until || h.until == best.until && h.edge == x.booked.edge) {
			best.edge, best.until = h.edge, h.until
		}
	}
	from := best.until
	if from != timerheap.Never {
		from = -timerheap.Never // those that the departure is announced to
	}
	best.rooms = x.rooms(from)
	return best
}

// holder is an edge that holds connections of a user, or did until recently.
type holder struct {
	edge  unique.Handle[Edge]
	until time.Duration // end of the grace, timerheap.Never while live
	back  bool          // the user has returned elsewhere: this one delays no departure, but its rooms count until then
	rooms []string      // sorted; replaced, never changed in place
}

func (h holder) live() bool { return h.until == timerheap.Never }

// addHolder makes e a live holder with rooms, and ends the graces of the user. Reports of an
// older process than one that holds the user are ignored.
func (x *user) addHolder(at time.Duration, e unique.Handle[Edge], rooms []string, tally *membership.Tally) {
	x.lastSeen = time.Time{}
	held, stale := false, false
	for i := range x.holders {
		h := &x.holders[i]
		switch {
		case !h.live():
			h.back = true
		case h.edge == e:
			tally.Remove(e, x.sum(h))
			held, h.rooms = true, rooms
			tally.Add(e, x.sum(h))
		case older(e, h.edge):
			stale = true
		case older(h.edge, e):
			tally.Remove(h.edge, x.sum(h))
			h.back, h.until = true, at+staleGrace
		}
	}
	if held || stale {
		return
	}
	if i := slices.IndexFunc(x.holders, func(h holder) bool { return h.back }); i >= 0 && len(x.holders) >= maxHolders {
		x.holders = slices.Delete(x.holders, i, i+1)
	}
	x.holders = append(x.holders, holder{edge: e, until: timerheap.Never, rooms: rooms})
	tally.Add(e, wire.UserSum(x.info.ID, rooms))
}

// sum is the user's part of the tally of h's edge, while h is live.
func (x *user) sum(h *holder) wire.Sum { return wire.UserSum(x.info.ID, h.rooms) }

// loseHolders ends or shortens, at until, what the selected edges hold, and reports whether
// that changed anything.
func (x *user) loseHolders(at, until time.Duration, lost func(*holder) bool, tally *membership.Tally) (changed bool) {
	if x.until() == timerheap.Never {
		x.dropEnded(at) // not later: the rooms held at the last close must be notified of the departure
	}
	for i := range x.holders {
		h := &x.holders[i]
		if until >= h.until || !lost(h) {
			continue
		}
		if h.live() {
			tally.Remove(h.edge, x.sum(h))
		}
		h.until, changed = until, true
	}
	return changed
}

// until returns the end of the last grace, timerheap.Never while an edge holds the user.
func (x *user) until() time.Duration {
	until := -timerheap.Never
	for _, h := range x.holders {
		if !h.back {
			until = max(until, h.until)
		}
	}
	return until
}

// dropEnded removes the holders that ended before at.
func (x *user) dropEnded(at time.Duration) {
	x.holders = slices.DeleteFunc(x.holders, func(h holder) bool { return h.until < at })
}

// rooms returns the union of the rooms held at the given offset or after it, sorted.
func (x *user) rooms(at time.Duration) []string {
	var all []string
	shared := false
	for _, h := range x.holders {
		switch {
		case h.until < at || len(h.rooms) == 0:
		case all == nil:
			all, shared = h.rooms, true // one holder is the common case: no copy
		case shared:
			all, shared = slices.Concat(all, h.rooms), false
		default:
			all = append(all, h.rooms...)
		}
	}
	if shared {
		return all
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// announceRooms returns the rooms held by live edges that this online period was not
// announced to, and counts them as announced.
func (x *user) announceRooms() (fresh []string) {
	held := x.rooms(timerheap.Never)
	for _, room := range held {
		if _, found := slices.BinarySearch(x.announced, room); !found {
			fresh = append(fresh, room)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	announced := slices.Concat(x.announced, fresh)
	if len(announced) > len(held)+maxAnnounced {
		announced = slices.Clone(held)
	}
	slices.Sort(announced)
	x.announced = announced
	return fresh
}

func (x *user) event(kind Kind, rooms []string) Event {
	return Event{Kind: kind, User: x.info, Status: x.status, Custom: x.custom, Rooms: rooms}
}

func (x *user) presence(now time.Time) wire.Presence {
	return wire.Presence{User: x.info, Status: x.status, Custom: x.custom, Online: true, LastSeenMs: millis(now)}
}

// older reports whether a is an earlier process of b's edge.
func older(a, b unique.Handle[Edge]) bool {
	x, y := a.Value(), b.Value()
	return x.ID == y.ID && x.Gen < y.Gen
}

// sorted returns a sorted copy of rooms without repetitions; nil when there are none.
func sorted(rooms []string) []string {
	if len(rooms) == 0 {
		return nil
	}
	rooms = slices.Clone(rooms)
	slices.Sort(rooms)
	return slices.Compact(rooms)
}

// millis returns t in Unix milliseconds; never negative.
func millis(t time.Time) uint64 { return uint64(max(0, t.UnixMilli())) }
