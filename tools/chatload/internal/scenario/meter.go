package scenario

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/confab-chat/confab/tools/chatload/internal/proc"
	"github.com/confab-chat/confab/tools/chatload/internal/report"
)

// meter is what the processes and the machine had used at one moment.
type meter struct {
	at      time.Time
	groups  []proc.Usage
	self    proc.Usage
	machine proc.Machine
}

func (o *Options) read() (m meter, err error) {
	m = meter{at: time.Now(), self: proc.Self()}
	if own, err := proc.Of(o.Proc, proc.Group{Name: "generator", Pids: o.own}); err == nil { // one that has ended is told elsewhere
		m.self.User, m.self.System = m.self.User+own.User, m.self.System+own.System
	}
	for _, g := range o.Groups {
		u, err := proc.Of(o.Proc, g)
		if err != nil {
			return m, err
		}
		m.groups = append(m.groups, u)
	}
	m.machine, err = proc.ReadMachine(o.Proc)
	return m, err
}

// cpu is the seconds of processor time that the server has used between two readings.
func cpu(a, b meter) (sum float64) {
	for i := range a.groups {
		sum += b.groups[i].CPU() - a.groups[i].CPU()
	}
	return sum
}

// addCPU adds who used the processors between a and b, in per cent of one, and n
// events by processor second: of the first group, and of all together. What the host
// stole is in per cent of all processors: above a few, nothing else of the run holds.
func (o *Options) addCPU(f *report.Figures, a, b meter, what string, n float64) {
	wall := b.at.Sub(a.at).Seconds()
	for i, g := range o.Groups {
		used := b.groups[i].CPU() - a.groups[i].CPU()
		if what != "" && used > 0 {
			f.Add(what+"_per_cpu_s_"+g.Name, n/used, "")
		}
	}
	if len(o.Groups) > 1 && what != "" {
		f.Add(what+"_per_cpu_s_all", n/cpu(a, b), "")
	}
	for i, g := range o.Groups {
		f.Add("cpu_"+g.Name, (b.groups[i].CPU()-a.groups[i].CPU())/wall*100, "%")
	}
	own := b.self.CPU() - a.self.CPU()
	f.Add("cpu_generator", own/wall*100, "%")
	f.Add("cpu_others", (b.machine.Busy-a.machine.Busy-cpu(a, b)-own)/wall*100, "%")
	f.Add("stolen", (b.machine.Stolen-a.machine.Stolen)/(b.machine.Total-a.machine.Total)*100, "%")
}

// latencies counts in microseconds, up to a minute, to three digits.
func latencies() *hdrhistogram.Histogram { return hdrhistogram.New(1, 60_000_000, 3) }

// record counts one latency in nanoseconds; over a minute is a minute.
func record(h *hdrhistogram.Histogram, ns int64) {
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
