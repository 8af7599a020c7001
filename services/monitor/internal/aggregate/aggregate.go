// Package aggregate adds up what processes count: for ever, and over the last
// minute. Each process reports running sums since its start; the tally takes in
// the difference to its report before, so that restarts and repetitions change
// nothing. It has no clock: time comes in with each call.
package aggregate

import (
	"cmp"
	"slices"
	"time"

	"github.com/confab-chat/confab/proto/wire"
)

// series names one counter or latency of one service.
type series struct{ service, name string }

// maxSeries bounds the names that are added up, over all services: some hundred
// exist, and names come from our own code only.
const maxSeries = 512

// Tally is the sum over all processes. Make it with New. It is not safe for
// concurrent use.
type Tally struct {
	totals map[series]uint64
	window window
}

// New is an empty tally that begins at start.
func New(start time.Time) *Tally {
	return &Tally{totals: make(map[series]uint64), window: window{start: start}}
}

// Add takes in t, before being the last report of the same process, made span
// earlier, or nil. followed says that another process of the same instance was
// known before. A process that began before it was first heard brings its whole
// past along: unless t is its first report, or it followed another process, that
// belongs to the totals but not to the last minute.
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
		delta := n - min(n, before.Counters[name]) // a running sum never falls; if it did, nothing was counted
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

// since is what h has counted more than before.
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

// Counter is one counter summed over all processes of a service that were ever
// heard of. It never falls.
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

// Total is the sum of a counter; false when nobody has ever reported it.
func (y *Tally) Total(service, name string) (uint64, bool) {
	n, known := y.totals[series{service, name}]
	return n, known
}

// Rate is events a second over the last minute; false when nobody has ever
// reported the counter.
func (y *Tally) Rate(now time.Time, service, name string) (float64, bool) {
	key := series{service, name}
	_, known := y.totals[key]
	return y.window.rate(now, key), known
}

// Latencies merges, by name, the durations of the last minute.
func (y *Tally) Latencies(now time.Time) map[string]*wire.Histogram { return y.window.latencies(now) }
