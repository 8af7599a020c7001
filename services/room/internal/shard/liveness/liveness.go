// Package liveness tracks which edges are alive, by their heartbeats. It has no clock and
// does no I/O.
package liveness

import (
	"sync"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
)

const (
	// Silence is how long an edge may be silent before it counts as dead: five heartbeats.
	Silence = 5 * time.Second

	// DeadGrace and DrainGrace are how long the users of an edge that died, and of one that
	// stopped, stay members.
	DeadGrace  = 10 * time.Second
	DrainGrace = 30 * time.Second

	// LeftGrace is how long users stay members whom their edge does not hold any more, although
	// no departure has arrived.
	LeftGrace = 2 * time.Second

	// MinAnnounceAge is the least age of an owner at which it can have announced departures
	// from a dead edge.
	MinAnnounceAge = Silence + DeadGrace

	// forgetAfter is when a silent edge is removed from the table.
	forgetAfter = 10 * time.Minute

	// maxEdges bounds the table against a flood of invented ids.
	maxEdges = 10_000
)

// Table is the edges and their latest heartbeats. All methods may be called concurrently.
type Table struct {
	mu    sync.RWMutex // guards edges
	edges map[string]entry
}

type entry struct {
	gen     uint64 // under which it reports its connections
	process uint64 // the generation that it started with
	seen    time.Time
	stopped bool
}

// NewTable returns an empty table.
func NewTable() *Table { return &Table{edges: make(map[string]entry)} }

// Observe processes an edge's heartbeat that arrived at now. Heartbeats of an older process
// of the same edge are ignored.
func (t *Table) Observe(now time.Time, hb *wire.Heartbeat) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, known := t.edges[hb.Instance]
	gen, stopped := max(hb.Gen, hb.EdgeGen), hb.State == wire.StateStopped
	if stopped && known && e.process == hb.Gen {
		gen = e.gen // a final heartbeat carries no newer generation
	}
	switch {
	case known && gen < e.gen:
		return
	case !known && len(t.edges) >= maxEdges:
		return
	case known && gen == e.gen && e.stopped:
		return // it was sent before the final heartbeat
	}
	t.edges[hb.Instance] = entry{gen, hb.Gen, now, stopped}
}

// ResetSilence counts every edge as heard of at now: after this process was cut off from
// NATS, or was suspended, their silence is not their fault.
func (t *Table) ResetSilence(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, e := range t.edges {
		if now.Sub(e.seen) > forgetAfter {
			delete(t.edges, id)
			continue
		}
		e.seen = now
		t.edges[id] = e
	}
}

// Lost reports whether the connections of e must be given up at now, and after which grace:
// it is dead, has stopped, or a newer process has replaced it. since is when the caller
// first heard of e, which counts for an edge that the table does not know.
func (t *Table) Lost(now time.Time, e membership.Edge, since time.Time) (grace time.Duration, lost bool) {
	t.mu.RLock()
	x, known := t.edges[e.ID]
	t.mu.RUnlock()
	switch {
	case !known || x.gen < e.Gen: // its first heartbeat is still to come
		return DeadGrace, now.Sub(since) > Silence && (!known || now.Sub(x.seen) > Silence)
	case x.gen > e.Gen:
		return DeadGrace, true
	case x.stopped:
		return DrainGrace, true
	}
	return DeadGrace, now.Sub(x.seen) > Silence
}

// Live returns the edges that are alive at now.
func (t *Table) Live(now time.Time) []membership.Edge {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var live []membership.Edge
	for id, e := range t.edges {
		if !e.stopped && now.Sub(e.seen) <= Silence {
			live = append(live, membership.Edge{ID: id, Gen: e.gen})
		}
	}
	return live
}
