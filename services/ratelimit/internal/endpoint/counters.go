package endpoint

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/confab-chat/confab/proto/wire"
)

// actions lists the actions with a limit, and their names in metrics.
var actions = [...]struct {
	action wire.Action
	name   string
}{
	{wire.ActionMessage, "message"},
	{wire.ActionJoin, "join"},
	{wire.ActionTyping, "typing"},
	{wire.ActionResume, "resume"},
}

// counters holds counts since the start.
type counters struct {
	granted    [len(actions) + 1]atomic.Uint64 // by action; index 0 is unused
	denied     [len(actions) + 1]atomic.Uint64
	malformed  atomic.Uint64 // requests that could not be decoded
	unsent     atomic.Uint64 // answers that could not be published
	evicted    atomic.Uint64 // see Evicted
	leases     atomic.Uint64 // see Leases
	claims     atomic.Uint64
	recalls    atomic.Uint64
	unanswered atomic.Uint64
}

// decision counts one decision; a is one of actions.
func (c *counters) decision(a wire.Action, ok bool) {
	if ok {
		c.granted[a].Add(1)
	} else {
		c.denied[a].Add(1)
	}
}

// Decisions counts how often one action was granted and denied since the start.
type Decisions struct {
	Action          string
	Granted, Denied uint64
}

// Decisions lists every action. Safe for concurrent use.
func (e *Endpoint) Decisions() []Decisions {
	list := make([]Decisions, 0, len(actions))
	for _, a := range actions {
		list = append(list, Decisions{
			a.name, e.counters.granted[a.action].Load(), e.counters.denied[a.action].Load(),
		})
	}
	return list
}

// Malformed returns the number of malformed requests. Safe for concurrent use.
func (e *Endpoint) Malformed() uint64 { return e.counters.malformed.Load() }

// Evicted returns how many keys in use were dropped because their shard was full: each user
// of them may get a few permits twice. At most a second old. Safe for concurrent use.
func (e *Endpoint) Evicted() uint64 { return e.counters.evicted.Load() }

// Leases counts leases since the start.
type Leases struct {
	Given      uint64 // granted to edges
	Claimed    uint64 // reported by edges to a new owner
	Recalled   uint64 // recalls sent
	Unanswered uint64 // recalls without an answer in time
}

// Leases returns the counts. Safe for concurrent use.
func (e *Endpoint) Leases() Leases {
	c := &e.counters
	return Leases{c.leases.Load(), c.claims.Load(), c.recalls.Load(), c.unanswered.Load()}
}

// Load returns what this instance owns, at most a second old. Safe for concurrent use.
func (e *Endpoint) Load() wire.LimitLoad {
	e.mu.Lock()
	defer e.mu.Unlock()
	return wire.LimitLoad{Shards: slices.Clone(e.load.Shards), Keys: e.load.Keys}
}

// updateLoad updates load. Called by Run's goroutine only.
func (e *Endpoint) updateLoad() {
	shards, keys := make([]int, 0, len(e.owned)), 0
	for s := range maps.Values(e.owned) {
		shards = append(shards, s.lease.Shard)
		keys += s.table.Len()
		evicted := s.table.Evicted()
		e.counters.evicted.Add(evicted - s.evicted)
		s.evicted = evicted
	}
	slices.Sort(shards)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.load = wire.LimitLoad{Shards: shards, Keys: keys}
}
