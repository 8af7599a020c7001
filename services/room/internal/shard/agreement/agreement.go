// Package agreement decides when the owner of a shard needs an edge's snapshot: of each live
// edge that it has none of, and of an edge whose checks differ from what the owner believes.
// It puts the parts of a snapshot together. It has no clock and does no I/O.
package agreement

import (
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
)

const (
	// AskEvery is the least time between two requests to one edge.
	AskEvery = time.Second

	// maxDiffering is how many checks in a row must differ: one can come before a join that
	// still waits for its room to be loaded.
	maxDiffering = 2

	// maxParts bounds a snapshot: 1 GB.
	maxParts = 4096
)

// Edges is what an owner has received of each live edge. It must be used on one goroutine.
type Edges struct{ edges map[membership.Edge]*edge }

type edge struct {
	known     bool      // a snapshot was applied
	askedAt   time.Time // zero: not yet
	differing int       // checks in a row
	parts     []*wire.Snapshot
}

// New returns what a new owner has: nothing.
func New() *Edges { return &Edges{edges: make(map[membership.Edge]*edge)} }

// Update forgets the edges that are not live any more, and returns those that must be asked
// for a snapshot at now.
func (s *Edges) Update(now time.Time, live []membership.Edge) (ask []membership.Edge) {
	was := s.edges
	s.edges = make(map[membership.Edge]*edge, len(live))
	for _, id := range live {
		e := was[id]
		if e == nil {
			e = new(edge)
		}
		s.edges[id] = e
		if !e.known && e.mayAsk(now) {
			ask = append(ask, id)
		}
	}
	return ask
}

// Asked notes that the live edges have been asked at now.
func (s *Edges) Asked(now time.Time, live []membership.Edge) {
	for _, id := range live {
		s.edges[id] = &edge{askedAt: now}
	}
}

// Checked processes a check of an edge: same reports that the owner agrees. It returns
// whether the edge must be asked for a snapshot.
func (s *Edges) Checked(now time.Time, id membership.Edge, same bool) (ask bool) {
	e := s.edges[id]
	switch {
	case e == nil: // its first heartbeat is still to come, or it is dead
		return false
	case same:
		e.differing = 0
		return false
	}
	e.differing++
	return e.differing >= maxDiffering && e.mayAsk(now)
}

func (e *edge) mayAsk(now time.Time) bool {
	if !e.askedAt.IsZero() && now.Sub(e.askedAt) < AskEvery {
		return false
	}
	e.askedAt = now
	return true
}

// Receive processes one part of a snapshot. With the last one it returns all parts in order,
// and whether it is the edge's first snapshot here. A snapshot with a missing part is ignored;
// the edge is asked again. An edge whose first heartbeat has not arrived is accepted.
func (s *Edges) Receive(part *wire.Snapshot) (parts []*wire.Snapshot, first bool) {
	id := membership.Edge{ID: part.Edge, Gen: part.Gen}
	e := s.edges[id]
	if e == nil {
		e = new(edge)
		s.edges[id] = e
	}
	if part.Part == 1 {
		e.parts = nil
	}
	// A release that does not number its parts is believed to have lost none.
	if part.Part != 0 && part.Part != uint64(len(e.parts))+1 || len(e.parts) == maxParts {
		e.parts = nil
		return nil, false
	}
	e.parts = append(e.parts, part)
	if !part.Last {
		return nil, false
	}
	parts, first = e.parts, !e.known
	*e = edge{known: true, askedAt: e.askedAt}
	return parts, first
}

// Complete reports whether a snapshot of every edge was applied.
func (s *Edges) Complete() bool {
	for _, e := range s.edges {
		if !e.known {
			return false
		}
	}
	return len(s.edges) > 0
}
