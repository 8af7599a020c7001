package endpoint

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/confab-chat/confab/proto/wire"
)

// actions are those that have a limit, as the metrics name them.
var actions = [...]struct {
	action wire.Action
	name   string
}{
	{wire.ActionMessage, "message"},
	{wire.ActionJoin, "join"},
	{wire.ActionTyping, "typing"},
	{wire.ActionResume, "resume"},
}

// counters count since the start.
type counters struct {
	granted   [len(actions) + 1]atomic.Uint64 // by action; 0 is not used
	denied    [len(actions) + 1]atomic.Uint64
	malformed atomic.Uint64 // requests that nobody should send
	unsent    atomic.Uint64 // answers that NATS did not take
	leases    atomic.Uint64 // see Leases
	claims    atomic.Uint64
	recalls   atomic.Uint64
	unheard   atomic.Uint64
}

// decision counts one; a is one of actions.
func (c *counters) decision(a wire.Action, ok bool) {
	if ok {
		c.granted[a].Add(1)
	} else {
		c.denied[a].Add(1)
	}
}

// Decisions is how often one action was granted and denied since the start.
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

// Malformed counts requests that were no requests. Safe for concurrent use.
func (e *Endpoint) Malformed() uint64 { return e.counters.malformed.Load() }

// Leases counts what became of leases since the start.
type Leases struct {
	Given    uint64 // to edges that asked
	Claimed  uint64 // edges have said to hold, to a new owner
	Recalled uint64 // asked back
	Unheard  uint64 // of them, not answered in time
}

// Leases is safe for concurrent use.
func (e *Endpoint) Leases() Leases {
	c := &e.counters
	return Leases{c.leases.Load(), c.claims.Load(), c.recalls.Load(), c.unheard.Load()}
}

// Load is what this instance owns, as of the last second. Safe for concurrent use.
func (e *Endpoint) Load() wire.LimitLoad {
	e.mu.Lock()
	defer e.mu.Unlock()
	return wire.LimitLoad{Shards: slices.Clone(e.load.Shards), Keys: e.load.Keys}
}

// measure brings load up to date; on Run's goroutine.
func (e *Endpoint) measure() {
	shards, keys := make([]int, 0, len(e.owned)), 0
	for s := range maps.Values(e.owned) {
		shards = append(shards, s.number)
		keys += s.table.Len()
	}
	slices.Sort(shards)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.load = wire.LimitLoad{Shards: shards, Keys: keys}
}
