package users

import (
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/ledger"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
)

// Restore adds what an earlier owner has stored of a user.
func (s *Set) Restore(h *ledger.Holding) {
	now, state := s.cfg.Now(), h.State()
	s.presence.Restore(now, h.User, state, h.Rooms)
	if !state.Gone && state.Until.IsZero() {
		s.holders.Add(now, state.Edge)
	}
}

// States calls put with every user who is online, as it is stored.
func (s *Set) States(put func(ledger.Holding)) {
	s.presence.States(func(u wire.User, state membership.State, rooms []string) {
		put(ledger.NewHolding("", u, state, rooms))
	})
}
