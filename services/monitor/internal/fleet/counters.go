package fleet

import (
	"maps"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/monitor/internal/aggregate"
)

// interval is the time between two heartbeats; Telemetry.Seq is that of a heartbeat.
const interval = time.Second

// addCounters adds a report of p to the sums, and keeps it.
func (f *Fleet) addCounters(now time.Time, in *instance, p *process, t *wire.Telemetry) {
	span := time.Duration(min(t.Seq, uint64(DropAfter/interval))) * interval
	if p.telemetry != nil {
		span = now.Sub(p.telemetryAt)
		// An edge that was taken for dead has fewer disconnections than were counted for it.
		const name = wire.CountDisconnections
		if counted := p.telemetry.Counters[name]; t.Counters[name] < counted {
			t = withCounter(t, name, counted)
		}
	}
	f.sums.Add(now, p.telemetry, t, span, in.restarted())
	p.telemetry = t
}

// countLost counts the connections of an edge's processes that have ended as disconnections:
// those that were lost with a process were not reported.
func (f *Fleet) countLost(now time.Time, in *instance) {
	if in.service != wire.ServiceEdge || in.current == nil {
		return
	}
	if in.current.beat.State == wire.StateStopped || f.dead(now, in) {
		f.closeAll(now, in.current)
	}
	for _, p := range in.others {
		if p.beat != nil { // else it may have just begun
			f.closeAll(now, p)
		}
	}
}

// closeAll counts every connection that p has opened as closed.
func (f *Fleet) closeAll(now time.Time, p *process) {
	if p.telemetry == nil {
		return
	}
	opened, reported := p.telemetry.Counters[wire.CountConnections]
	if reported && p.telemetry.Counters[wire.CountDisconnections] < opened {
		all := withCounter(p.telemetry, wire.CountDisconnections, opened)
		f.sums.Add(now, p.telemetry, all, interval, true)
		p.telemetry = all
	}
}

// withCounter returns a copy of t with another value of one counter.
func withCounter(t *wire.Telemetry, name string, n uint64) *wire.Telemetry {
	c := *t
	c.Counters = make(map[string]uint64, len(t.Counters)+1)
	maps.Copy(c.Counters, t.Counters)
	c.Counters[name] = n
	return &c
}

// Counters returns the sum of every counter.
func (f *Fleet) Counters() []aggregate.Counter { return f.sums.Counters() }

// total returns a counter's sum; nil if no instance has reported it.
func (f *Fleet) total(service, name string) *uint64 {
	if n, known := f.sums.Total(service, name); known {
		return &n
	}
	return nil
}

// noteMissingCounters adds a note for each live instance whose counters, and rooms, are unknown
// or out of date.
func (f *Fleet) noteMissingCounters(now time.Time, v *view) {
	for _, in := range v.list {
		if p := in.current; !in.status(now).Silent() && (p.telemetry == nil || now.Sub(p.telemetryAt) > telemetryAfter) {
			v.unknown(in.service + "/" + in.id.instance + ": no counters received")
		}
	}
}
