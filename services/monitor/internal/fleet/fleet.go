// Package fleet folds the heartbeats and telemetry of every instance into one
// picture of the cluster: who is up, how much is going on, and what is not
// known. It has no clock and no I/O: time comes in with each call.
//
// Two rules run through it. Unknown is never zero: an instance that has gone
// silent keeps its last figures and is marked, a figure nobody has ever
// reported is null. And nothing counts twice: counters are added up as deltas
// per process (instance and gen), and a shard's load counts for one owner.
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
	// MissingAfter is when a silent instance is taken for gone.
	MissingAfter = 5 * time.Second
	// DropAfter is how long a silent instance stays listed.
	DropAfter = 60 * time.Second
	// WarmUp is how long a new Fleet, or one that was cut off, does not know who
	// is missing: it has not listened for long enough.
	WarmUp = MissingAfter
	// telemetryAfter is when the counters of an instance are out of date: two
	// periods of 5 s, and some slack.
	telemetryAfter = 12 * time.Second
)

// maxInstances bounds the instances that are remembered, departed ones too:
// ten times the largest cluster planned for. Past it new ones are refused until
// Sweep has made room, and Health says so.
const maxInstances = 10_000

// services are those that a whole cluster has, in the order of the lists.
var services = [...]string{wire.ServiceEdge, wire.ServiceRoom, wire.ServiceRateLimit, wire.ServiceMonitor}

// Fleet is the cluster as its instances describe it. Make it with New. It is not
// safe for concurrent use.
type Fleet struct {
	started   time.Time
	instances map[id]*instance
	refused   bool      // an instance found no place since the last Sweep
	cutOff    time.Time // since when nothing can be heard; zero: all is well
	reached   time.Time // when the last cutOff ended

	sums *aggregate.Tally // what all processes ever heard of have counted

	// The newest settings told: they hold while their teller is silent.
	edgeConfig  *wire.EdgeConfig
	limitConfig *wire.LimitConfig

	orphans map[string]time.Time // service: since when shards of it have no live owner

	details []wire.RoomDetail // merged and sorted, see rooms.go
	sorted  bool              // details is up to date
}

type id struct{ service, instance string }

// New is an empty fleet of a monitor that began to listen at start.
func New(start time.Time) *Fleet {
	return &Fleet{
		started:   start,
		instances: make(map[id]*instance),
		sums:      aggregate.New(start),
		orphans:   make(map[string]time.Time),
	}
}

// Heartbeat takes in what an instance says each second; hb is kept. It reports
// false when hb told nothing new: older than what is known, or no room for it.
func (f *Fleet) Heartbeat(now time.Time, hb *wire.Heartbeat) bool {
	in := f.instance(id{hb.Service, hb.Instance})
	if in == nil {
		return false
	}
	l := in.life(hb.Gen)
	if l.beat != nil && hb.Seq <= l.beat.Seq {
		return false
	}
	if l.beat != nil {
		l.lost += hb.Seq - l.beat.Seq - 1
	}
	l.beat, l.heard = hb, now
	if in.elect(now, l) || hb.State == wire.StateStopped {
		f.sorted = false
	}
	return true
}

// Telemetry takes in what an instance says each 5 seconds; t is kept. It reports
// false when t told nothing new, as Heartbeat does.
func (f *Fleet) Telemetry(now time.Time, t *wire.Telemetry) bool {
	in := f.instance(id{t.Service, t.Instance})
	if in == nil {
		return false
	}
	l := in.life(t.Gen)
	if l.told != nil && t.Seq <= l.told.Seq {
		return false
	}
	f.sums.Add(now, l.told, t, now.Sub(l.toldAt), in.restarted())
	l.told, l.toldAt, l.heard = t, now, now
	if t.Config != nil {
		f.edgeConfig = t.Config
	}
	// The owner of the limits knows better than an edge's fallback.
	if t.Limits != nil && (t.Service == wire.ServiceRateLimit || f.limitConfig == nil) {
		f.limitConfig = t.Limits
	}
	f.sorted = f.sorted && t.Service != wire.ServiceRoom
	return true
}

// CutOff says that from now on nothing can be heard: silence is then no news of
// anybody, and nobody is dropped for it.
func (f *Fleet) CutOff(now time.Time) {
	if f.cutOff.IsZero() {
		f.cutOff = now
	}
}

// Reached ends CutOff. Who stays silent has DropAfter from now on.
func (f *Fleet) Reached(now time.Time) {
	if !f.cutOff.IsZero() {
		f.cutOff, f.reached = time.Time{}, now
	}
}

// listening is since when everybody could be heard.
func (f *Fleet) listening() time.Time {
	if f.reached.After(f.started) {
		return f.reached
	}
	return f.started
}

// Sweep looks for what only time tells; call it about once a second. It also
// makes room for new instances: departed ones are remembered as long as there is
// room, so that one that comes back does not count twice; past half of
// maxInstances they are forgotten.
func (f *Fleet) Sweep(now time.Time) {
	f.refused, f.sorted = false, false // who was just dropped has no rooms any more
	f.watchShards(now)
	if len(f.instances) <= maxInstances/2 {
		return
	}
	for key, in := range f.instances {
		if !f.listed(now, in) && now.Sub(in.heard()) > DropAfter {
			delete(f.instances, key)
		}
	}
}

// instance is that of key, nil when there is no place for another one.
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
