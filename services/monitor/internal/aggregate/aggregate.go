// Package aggregate sums the counters of all processes: as totals, and over the last
// seconds or minute. Each process reports running sums since its start. The tally adds the
// difference from the process's previous report, so restarts and repeated reports are
// not counted twice. It reads no clock: callers pass the time.
package aggregate

import (
	"cmp"
	"slices"
	"time"

	"github.com/confab-chat/confab/proto/wire"
)

// series names one counter or latency of one service.
type series struct{ service, name string }

// maxSeries bounds the number of distinct counters over all services. About a hundred
// exist, and their names come from our own code only.
const maxSeries = 512

// Tally is the sum over all processes. Make it with New. It is not safe for
// concurrent use.
type Tally struct {
	totals map[series]uint64
	window window
}

// New returns an empty tally that begins at start.
func New(start time.Time) *Tally {
	return &Tally{totals: make(map[series]uint64), window: window{start: start}}
}

// Add adds the report t. before is the previous report of the same process, received
// span earlier, or nil. followed reports whether an earlier process of the same
// instance is known. The first report received from a process that has run for a while
// contains its whole past. That past is added to the totals, and to the window
// only if t.Seq says that it is the process's first report, or if followed is true.
func (y *Tally) Add(now time.Time, before, t *wire.Telemetry, span time.Duration, followed bool) {
	recent := before != nil || followed || t.Seq <= 1
	if before == nil {
		before = &wire.Telemetry{}
	}
	for name, n := range t.Counters {
		key := series{t.Service, name}
		if _, known := y.totals[key]; !known && len(y.totals) >= maxSeries {
			continue
		}
		delta := n - min(n, before.Counters[name]) // a running sum never falls; if it does, count nothing
		y.totals[key] += delta
		if recent {
			y.window.count(now, span, key, delta)
		}
	}
	if !recent {
		return
	}
	for name, h := range t.Latency {
		y.window.observe(now, series{t.Service, name}, since(h, before.Latency[name]))
	}
}

// since returns what h has counted since before.
func since(h, before wire.Histogram) wire.Histogram {
	if h.Count < before.Count {
		return wire.Histogram{}
	}
	d := wire.Histogram{Count: h.Count - before.Count, SumUs: h.SumUs - before.SumUs, Buckets: make(map[int]uint64)}
	for b, n := range h.Buckets {
		if n > before.Buckets[b] {
			d.Buckets[b] = n - before.Buckets[b]
		}
	}
	return d
}

// Counter is one counter, summed over all processes of a service that have ever
// reported it. It never decreases.
type Counter struct {
	Service, Name string
	Value         uint64
}

// Counters lists every counter, by service and name.
func (y *Tally) Counters() []Counter {
	list := make([]Counter, 0, len(y.totals))
	for key, n := range y.totals {
		list = append(list, Counter{key.service, key.name, n})
	}
	slices.SortFunc(list, func(a, b Counter) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// Total returns the sum of a counter; false if no process has ever reported it.
func (y *Tally) Total(service, name string) (uint64, bool) {
	n, known := y.totals[series{service, name}]
	return n, known
}

// Rate returns events per second over ten seconds, up to a second or two ago; false if no
// process has ever reported the counter, or within the first seconds after the start.
func (y *Tally) Rate(now time.Time, service, name string) (float64, bool) {
	key := series{service, name}
	if _, reported := y.totals[key]; !reported {
		return 0, false
	}
	return y.window.rate(now, key)
}

// Latencies returns the durations of the last minute, merged by name.
func (y *Tally) Latencies(now time.Time) map[string]*wire.Histogram { return y.window.latencies(now) }
