package rooms

import (
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/ledger"
	"github.com/confab-chat/confab/services/room/internal/shard/liveness"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
)

// Restore adds what an earlier owner has stored of a member. FinishRestore must be called at
// the end.
func (s *Set) Restore(h *ledger.Holding) {
	now, state := s.cfg.Now(), h.State()
	s.open(h.Room).members.Restore(now, h.User, state)
	if !state.Gone && state.Until.IsZero() {
		s.holders.Add(now, state.Edge)
	}
}

// FinishRestore schedules what is due in the restored rooms.
func (s *Set) FinishRestore() {
	s.inherited = s.cfg.Journal.Sent()
	s.digestNumber = s.inherited
	for _, r := range s.rooms {
		s.countOccupied(r)
		s.expectDepartures(r)
		if !r.members.Empty() && !r.Loaded() {
			s.unloaded = append(s.unloaded, r)
		}
	}
}

// States calls put with every member, as it is stored.
func (s *Set) States(put func(ledger.Holding)) {
	for id, r := range s.rooms {
		r.members.States(func(u wire.User, state membership.State) { put(ledger.NewHolding(id, u, state, nil)) })
	}
}

// Held returns the sum of what e holds here.
func (s *Set) Held(e membership.Edge) wire.Sum { return s.book.Tally.Of(e) }

// Replace makes an edge's snapshot the truth about what the edge holds in this shard's rooms.
// A new owner announces no user: the previous one has. With announce, users who are new here
// are announced.
func (s *Set) Replace(e membership.Edge, rooms []wire.RoomMembers, announce bool) {
	now := s.cfg.Now()
	s.holders.Add(now, e)
	held := make(map[*room]map[string]bool)
	for _, rm := range rooms {
		r := s.open(rm.Room)
		r.NoteDelivered(rm.Head)
		users := held[r]
		if users == nil {
			users = make(map[string]bool, len(rm.Users))
			held[r] = users
		}
		for _, id := range rm.Joining {
			users[id] = true
		}
		for _, u := range rm.Users {
			users[u.ID] = true
			if r.members.Join(now, e, u) && announce {
				s.announceJoin(r, now, u)
			}
		}
		s.countOccupied(r)
		if !r.Loaded() {
			s.unloaded = append(s.unloaded, r)
		}
	}
	for _, r := range s.rooms {
		for _, u := range r.members.LeaveUnless(now, e, liveness.LeftGrace, func(user string) bool { return held[r][user] }) {
			s.memberLeft(r, now, u)
		}
		s.expectDepartures(r)
	}
}

// expectDepartures makes Tick look at r if a grace runs there.
func (s *Set) expectDepartures(r *room) {
	if _, due := r.members.Next(); due {
		s.pending[r] = struct{}{}
	}
}

// maxLoadsPerTick is how many restored rooms each Tick loads: commands must not wait behind
// thousands of them, and a cold room costs the server milliseconds.
const maxLoadsPerTick = 16

// loadRestored loads some of the restored rooms. The old owner may have stored a message
// without broadcasting it: loading a room puts its head into the digest.
func (s *Set) loadRestored() {
	for n := 0; n < maxLoadsPerTick && len(s.unloaded) > 0; {
		r := s.unloaded[0]
		if s.unloaded = s.unloaded[1:]; !r.Loaded() {
			n++
			r.WhenLoaded(func(error) {})
		}
	}
}
