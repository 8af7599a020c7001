package aggregate_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/monitor/internal/aggregate"
)

const service, name = wire.ServiceRoom, wire.CountMessages

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(d time.Duration) time.Time { return start.Add(d) }

func report(seq, n uint64) *wire.Telemetry {
	return &wire.Telemetry{Service: service, Seq: seq, Counters: map[string]uint64{name: n}}
}

func TestRate(t *testing.T) {
	t.Parallel()
	const period = time.Second
	tests := []struct {
		name string
		feed func(y *aggregate.Tally)
		at   time.Duration
		want float64
	}{
		{"steady", func(y *aggregate.Tally) {
			for i := uint64(1); i <= 120; i++ {
				y.Add(at(time.Duration(i)*period), report(i-1, (i-1)*300), report(i, i*300), period, false)
			}
		}, 2*time.Minute + 999*time.Millisecond, 300},
		{"begun twelve seconds ago", func(y *aggregate.Tally) {
			for i := uint64(1); i <= 12; i++ {
				y.Add(at(time.Hour+time.Duration(i)*period), report(i-1, (i-1)*300), report(i, i*300), period, false)
			}
		}, time.Hour + 12*time.Second, 300},
		{"an earlier release, a report every five seconds", func(y *aggregate.Tally) {
			for i := uint64(1); i <= 24; i++ {
				y.Add(at(time.Duration(i)*5*period), report(i-1, (i-1)*50), report(i, i*50), 5*period, false)
			}
		}, 2 * time.Minute, 10},
		{"the past of a process that was there before", func(y *aggregate.Tally) {
			y.Add(at(time.Minute), nil, report(99, 1e6), 0, false)
		}, time.Minute + 3*period, 0},
		{"the first report of a process", func(y *aggregate.Tally) {
			y.Add(at(time.Minute), nil, report(1, 550), period, false)
		}, time.Minute + 3*period, 55},
		{"a restart, its first report lost", func(y *aggregate.Tally) {
			y.Add(at(time.Minute), nil, report(2, 550), 2*period, true)
		}, time.Minute + 3*period, 55},
		{"back after ten minutes", func(y *aggregate.Tally) {
			y.Add(at(10*time.Minute), report(1, 0), report(2, 6000), 10*time.Minute, false)
		}, 10 * time.Minute, 10},
		{"fifteen seconds later", func(y *aggregate.Tally) {
			y.Add(at(time.Second), nil, report(1, 600), period, false)
		}, 16 * time.Second, 0},
		{"a sum that falls", func(y *aggregate.Tally) {
			y.Add(at(time.Minute), report(1, 100), report(2, 40), period, false)
		}, time.Minute + 3*period, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			y := aggregate.New(start)
			test.feed(y)
			got, known := y.Rate(at(test.at), service, name)
			if !known || math.Abs(got-test.want) > test.want*0.01 {
				t.Errorf("%.2f a second, known: %v; want %.2f", got, known, test.want)
			}
		})
	}
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	y := aggregate.New(start)
	if _, known := y.Rate(start, service, name); known {
		t.Error("the rate of nothing is known")
	}
	if _, known := y.Total(service, name); known {
		t.Error("the total of nothing is known")
	}
	y.Add(start, nil, report(1, 0), 0, false)
	if n, known := y.Total(service, name); n != 0 || !known {
		t.Errorf("total %d, known: %v; want a known zero", n, known)
	}
	if _, known := y.Rate(at(time.Second), service, name); known {
		t.Error("a rate is known before a second is complete")
	}
}

func TestLatencies(t *testing.T) {
	t.Parallel()
	y := aggregate.New(start)
	var h wire.Histogram
	first := report(1, 0)
	for range 100 {
		h.Add(time.Second)
	}
	first.Latency = map[string]wire.Histogram{wire.LatencyAppend: copied(h)}
	y.Add(at(0), nil, first, 0, false)
	for range 50 {
		h.Add(time.Millisecond)
	}
	second := report(2, 0)
	second.Latency = map[string]wire.Histogram{wire.LatencyAppend: copied(h)}
	y.Add(at(58*time.Second), first, second, 5*time.Second, false)

	all := y.Latencies(at(59 * time.Second))[wire.LatencyAppend]
	if all.Count != 150 || all.Quantile(0.99) < time.Second {
		t.Errorf("within the minute: %d counted, p99 %v; want 150, a second", all.Count, all.Quantile(0.99))
	}
	late := y.Latencies(at(61 * time.Second))[wire.LatencyAppend]
	if late.Count != 50 || late.Quantile(0.99) > 2*time.Millisecond {
		t.Errorf("later: %d counted, p99 %v; want 50, about a millisecond", late.Count, late.Quantile(0.99))
	}
	if n := len(y.Latencies(at(10 * time.Minute))); n != 0 {
		t.Errorf("much later: %d latencies", n)
	}
}

func copied(h wire.Histogram) wire.Histogram {
	var c wire.Histogram
	c.Merge(h)
	return c
}

// However a process's running sum is cut into reports, and whichever of them are
// lost, the total is the last one, and the rate never exceeds it.
func TestTotalIsTheLastReport(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		y := aggregate.New(start)
		var before *wire.Telemetry
		var sum, last uint64
		now, received := start, start
		for seq := range rapid.IntRange(1, 50).Draw(t, "reports") {
			sum += uint64(rapid.IntRange(0, 1000).Draw(t, "counted"))
			now = now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "s")) * time.Second)
			if rapid.Bool().Draw(t, "lost") {
				continue
			}
			r := report(uint64(seq+1), sum)
			y.Add(now, before, r, now.Sub(received), false)
			before, received, last = r, now, sum
			if got, _ := y.Total(service, name); got != last {
				t.Fatalf("total %d, want %d", got, last)
			}
			if rate, _ := y.Rate(now.Add(2*time.Second), service, name); rate > float64(last)*1.01 {
				t.Fatalf("%.1f a second of %d in all", rate, last)
			}
		}
	})
}
