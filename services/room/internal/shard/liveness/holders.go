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
	lost    map[membership.Edge]time.Time // given up, and when: it may be alive after all
}

// NewHolders returns the holders of a shard that nothing is known of.
func NewHolders(t *Table) Holders {
	return Holders{
		table:   t,
		holding: make(map[membership.Edge]time.Time),
		lost:    make(map[membership.Edge]time.Time),
	}
}

// Add notes that e holds connections here.
func (h *Holders) Add(now time.Time, e membership.Edge) {
	if _, ok := h.holding[e]; !ok {
		h.holding[e] = now
		delete(h.lost, e)
	}
}

// CheckEdges calls lose for each edge whose connections must be given up at now. back
// reports that an edge given up before is alive: the shard must ask for its snapshot.
func (h *Holders) CheckEdges(now time.Time, lose func(e membership.Edge, grace time.Duration)) (back bool) {
	for e, since := range h.holding {
		if grace, lost := h.table.Lost(now, e, since); lost {
			delete(h.holding, e)
			h.lost[e] = now
			lose(e, grace)
		}
	}
	for e, at := range h.lost {
		switch _, lost := h.table.Lost(now, e, at); {
		case !lost && h.table.knows(e):
			delete(h.lost, e)
			back = true
		case now.Sub(at) > forgetAfter:
			delete(h.lost, e)
		}
	}
	return back
}

// knows reports whether the latest heartbeat of the edge came from the process e.
func (t *Table) knows(e membership.Edge) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	x, ok := t.edges[e.ID]
	return ok && x.gen == e.Gen
}
