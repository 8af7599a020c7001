//go:build linux

package scenario

import (
	"os"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/confab-chat/confab/tools/bench/internal/report"
	"github.com/confab-chat/confab/tools/bench/internal/usage"
)

// reading is what the processes and the machine had used at one moment.
type reading struct {
	at      time.Time
	groups  []usage.Processes // as Options.Groups
	self    usage.Processes
	machine usage.Machine
}

func (o *Options) readMeter() (r reading, err error) {
	r.at = time.Now()
	if r.self, err = (usage.Group{Name: "generator", Pids: []int{os.Getpid()}}).Read(); err != nil {
		return r, err
	}
	for _, g := range o.Groups {
		u, err := g.Read()
		if err != nil {
			return r, err
		}
		r.groups = append(r.groups, u)
	}
	r.machine, err = usage.ReadMachine()
	return r, err
}

// addCPU adds the processor time between readings a and b. n events, named what, are
// divided by the seconds of each group, and of all groups together. cpu_* is in per cent of
// one processor, stolen in per cent of all processors.
func (o *Options) addCPU(f *report.Figures, a, b reading, what string, n float64) {
	seconds := b.at.Sub(a.at).Seconds()
	var all float64
	for i, g := range o.Groups {
		used := b.groups[i].CPU - a.groups[i].CPU
		all += used
		f.Add(what+"_per_cpu_s_"+g.Name, n/used, "")
	}
	if len(o.Groups) > 1 {
		f.Add(what+"_per_cpu_s_all", n/all, "")
	}
	o.addLoad(f, a, b, "cpu_")
	own := b.self.CPU - a.self.CPU
	f.Add("cpu_generator", own/seconds*100, "%")
	f.Add("cpu_others", (b.machine.Busy-a.machine.Busy-all-own)/seconds*100, "%")
	f.Add("stolen", (b.machine.Stolen-a.machine.Stolen)/(b.machine.Total-a.machine.Total)*100, "%")
}

// addLoad adds each group's share of one processor between readings a and b.
func (o *Options) addLoad(f *report.Figures, a, b reading, prefix string) {
	for i, g := range o.Groups {
		f.Add(prefix+g.Name, (b.groups[i].CPU-a.groups[i].CPU)/b.at.Sub(a.at).Seconds()*100, "%")
	}
}

// newLatencies returns a histogram of microseconds, up to a minute, with three digits.
func newLatencies() *hdrhistogram.Histogram { return hdrhistogram.New(1, 60_000_000, 3) }

// recordLatency counts one latency in nanoseconds; more than a minute counts as a minute.
func recordLatency(h *hdrhistogram.Histogram, ns int64) {
	_ = h.RecordValue(min(max(1, ns/1000), h.HighestTrackableValue())) // in range
}

// addLatency adds a histogram's percentiles, in milliseconds.
func addLatency(f *report.Figures, name string, h *hdrhistogram.Histogram) {
	if h.TotalCount() == 0 {
		return
	}
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", 50}, {"p90", 90}, {"p95", 95}, {"p99", 99}, {"p99_9", 99.9}, {"max", 100}} {
		f.Add(name+"_"+q.name+"_ms", float64(h.ValueAtQuantile(q.at))/1000, "ms")
	}
}
