package liveness

import (
	"time"

	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
)

// Holders are the edges that hold connections of one shard's members. They are compared with
// the table regularly, so nothing depends on hearing of a death in time. They must be used
// on the shard's goroutine.
type Holders struct {
	table   *Table
	holding map[membership.Edge]time.Time // since when
}

// NewHolders returns the holders of a shard that nothing is known of.
func NewHolders(t *Table) Holders {
	return Holders{table: t, holding: make(map[membership.Edge]time.Time)}
}

// Add notes that e holds connections here.
func (h *Holders) Add(now time.Time, e membership.Edge) {
	if _, ok := h.holding[e]; !ok {
		h.holding[e] = now
	}
}

// CheckEdges calls lose for each edge whose connections must be given up at now.
func (h *Holders) CheckEdges(now time.Time, lose func(e membership.Edge, grace time.Duration)) {
	for e, since := range h.holding {
		if grace, lost := h.table.Lost(now, e, since); lost {
			delete(h.holding, e)
			lose(e, grace)
		}
	}
}
