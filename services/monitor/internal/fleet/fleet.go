// Package fleet builds a summary of the cluster from the heartbeats and telemetry of
// every instance: which are up, their load, and what is unknown. It has no clock and no
// I/O: callers pass the time.
//
// It follows two rules. An unknown value is never shown as zero: a silent instance keeps
// its last values and is marked, and a value that no instance has reported is null. And
// nothing counts twice: counters are summed as deltas per process (instance and gen),
// and a shard's load counts for one owner only.
package fleet

import (
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/monitor/internal/aggregate"
)

const (
	// StaleAfter is how long an instance may be silent and still count as up:
	// two heartbeats of one second may be lost.
	StaleAfter = 3 * time.Second
	// MissingAfter is how long an instance may be silent before it counts as missing.
	MissingAfter = 5 * time.Second
	// DeadAfter is how long an instance may be silent before its load leaves the totals:
	// its connections count as disconnections, and its rooms are not listed. It is longer
	// than an edge may be silent for the owners of rooms, who let its users go first.
	DeadAfter = 10 * time.Second
	// DropAfter is how long a silent instance stays listed.
	DropAfter = 60 * time.Second
	// WarmUp is how long after its start, or after a disconnection, a Fleet cannot know
	// which instances are missing.
	WarmUp = MissingAfter
	// telemetryAfter is the age at which an instance's counters and rooms are out of date:
	// two reports of one second may be lost.
	telemetryAfter = 3 * time.Second
)

// maxInstances bounds the remembered instances, departed ones included: ten times the
// largest cluster planned for. Beyond it new ones are ignored until Sweep has made room,
// and Health has a note about it.
const maxInstances = 10_000

// services are the services of a complete cluster, in the order of the lists.
var services = [...]string{wire.ServiceEdge, wire.ServiceRoom, wire.ServiceRateLimit, wire.ServiceMonitor}

// Fleet is the state of the cluster as its instances report it. Make it with New. Its
// methods must not be called concurrently.
type Fleet struct {
	started        time.Time
	instances      map[id]*instance
	refused        bool      // maxInstances was exceeded since the last Sweep
	disconnectedAt time.Time // when NATS was lost; zero while connected
	reconnectedAt  time.Time // when the last disconnection ended

	sums *aggregate.Tally // counters of all processes

	// The newest reported settings, kept while the instance that reported them is silent.
	edgeConfig  *wire.EdgeConfig
	limitConfig *wire.LimitConfig

	orphans map[string]time.Time // by service: since when some of its shards have no live owner

	details []wire.RoomDetail // merged and sorted, see rooms.go
	sorted  bool              // details is up to date
}

type id struct{ service, instance string }

// New returns the empty fleet of a monitor that started at start.
func New(start time.Time) *Fleet {
	return &Fleet{
		started:   start,
		instances: make(map[id]*instance),
		sums:      aggregate.New(start),
		orphans:   make(map[string]time.Time),
	}
}

// Heartbeat applies a heartbeat, which it keeps. It reports whether hb was new; it
// ignores one that is older than the last one, or from an instance beyond maxInstances.
func (f *Fleet) Heartbeat(now time.Time, hb *wire.Heartbeat) bool {
	in := f.instance(id{hb.Service, hb.Instance})
	if in == nil {
		return false
	}
	p := in.process(hb.Gen)
	if p.beat != nil && hb.Seq <= p.beat.Seq {
		return false
	}
	if p.beat != nil {
		p.lost += hb.Seq - p.beat.Seq - 1
	}
	p.beat, p.lastSeen = hb, now
	if in.promote(now, p) || hb.State == wire.StateStopped {
		f.sorted = false
	}
	f.countLost(now, in)
	return true
}

// Telemetry applies a telemetry report, which it keeps. It reports whether t was new, as
// Heartbeat does.
func (f *Fleet) Telemetry(now time.Time, t *wire.Telemetry) bool {
	in := f.instance(id{t.Service, t.Instance})
	if in == nil {
		return false
	}
	p := in.process(t.Gen)
	if p.telemetry != nil && t.Seq <= p.telemetry.Seq {
		return false
	}
	f.addCounters(now, in, p, t)
	p.telemetryAt, p.lastSeen = now, now
	f.countLost(now, in)
	if t.Config != nil {
		f.edgeConfig = t.Config
	}
	// The ratelimit service's own settings win over an edge's fallback.
	if t.Limits != nil && (t.Service == wire.ServiceRateLimit || f.limitConfig == nil) {
		f.limitConfig = t.Limits
	}
	f.sorted = f.sorted && t.Service != wire.ServiceRoom
	return true
}

// Disconnected records that NATS is lost. Instances are not dropped for their silence
// until Connected is called.
func (f *Fleet) Disconnected(now time.Time) {
	if f.disconnectedAt.IsZero() {
		f.disconnectedAt = now
	}
}

// Connected records that NATS is connected. After a disconnection, DropAfter counts anew
// for every silent instance. It does nothing if the fleet was connected.
func (f *Fleet) Connected(now time.Time) {
	if !f.disconnectedAt.IsZero() {
		f.disconnectedAt, f.reconnectedAt = time.Time{}, now
	}
}

// connectedSince returns the time since when messages have been received without a gap.
func (f *Fleet) connectedSince() time.Time {
	if f.reconnectedAt.After(f.started) {
		return f.reconnectedAt
	}
	return f.started
}

// Sweep updates what changes with time alone; call it about once a second. It also makes
// room for new instances. Departed instances are remembered while there is room, so that
// one that returns does not count twice; beyond half of maxInstances they are forgotten.
func (f *Fleet) Sweep(now time.Time) {
	f.refused, f.sorted = false, false // rooms of instances that are no longer listed must go
	f.watchShards(now)
	for _, in := range f.instances {
		f.countLost(now, in)
	}
	if len(f.instances) <= maxInstances/2 {
		return
	}
	for key, in := range f.instances {
		if !f.listed(now, in) && now.Sub(in.lastSeen()) > DropAfter {
			delete(f.instances, key)
		}
	}
}

// instance returns the instance of key, which it adds if it is new; nil beyond
// maxInstances.
func (f *Fleet) instance(key id) *instance {
	in := f.instances[key]
	if in == nil {
		if len(f.instances) >= maxInstances {
			f.refused = true
			return nil
		}
		in = &instance{id: key}
		f.instances[key] = in
	}
	return in
}
