package ledger

import (
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
)

// Holding is a wire.Holding with its edge. Without an edge the member is gone.
type Holding struct {
	wire.Holding
	Origin wire.Origin
}

// NewHolding returns what is stored of a member of a room, or of a user's presence if room is
// empty.
func NewHolding(room string, u wire.User, s membership.State, rooms []string) Holding {
	h := Holding{Holding: wire.Holding{Room: room, User: u, Rooms: rooms}}
	if !s.Gone {
		h.Origin = wire.Origin{Edge: s.Edge.ID, Gen: s.Edge.Gen}
	}
	if !s.Until.IsZero() {
		h.UntilMs = uint64(s.Until.UnixMilli())
	}
	return h
}

// State is the inverse of NewHolding.
func (h *Holding) State() membership.State {
	s := membership.State{Edge: membership.Edge{ID: h.Origin.Edge, Gen: h.Origin.Gen}, Gone: h.Origin.Edge == ""}
	if h.UntilMs > 0 {
		s.Until = time.UnixMilli(int64(h.UntilMs))
	}
	return s
}
