package aggregate

import (
	"time"

	"github.com/confab-chat/confab/proto/wire"
)

const (
	slotWidth = time.Second // the period of telemetry
	slots     = 60          // one minute: of latencies

	// A rate is the mean of rateSlots slots. It leaves out the last lateSlots, for which
	// some reports have not been received yet.
	rateSlots = 10
	lateSlots = 2
)

// window holds what happened in the last minute, in slots of slotWidth.
type window struct {
	start time.Time
	ring  [slots]slot
}

type slot struct {
	index    int // slots since start; a slot of an older round is empty
	counters map[series]float64
	latency  map[series]*wire.Histogram
}

// at returns the slot with an index. A slot left over from an earlier round is emptied first.
func (w *window) at(index int) *slot {
	s := &w.ring[index%slots]
	if s.index != index || s.counters == nil {
		*s = slot{index, make(map[series]float64), make(map[series]*wire.Histogram)}
	}
	return s
}

// indexOf returns the index of the slot of now.
func (w *window) indexOf(now time.Time) int { return int(max(now.Sub(w.start), 0) / slotWidth) }

// count adds n events that happened during span before now, spread evenly over it. Those of
// more than a minute ago, or before the start, are left out.
func (w *window) count(now time.Time, span time.Duration, key series, n uint64) {
	last := w.indexOf(now)
	if span <= 0 {
		w.at(last).counters[key] += float64(n)
		return
	}
	end := now.Sub(w.start)
	begin := end - span
	for i := max(last-slots+1, 0); i <= last; i++ {
		from, to := max(time.Duration(i)*slotWidth, begin), min(time.Duration(i+1)*slotWidth, end)
		if to > from {
			w.at(i).counters[key] += float64(n) * float64(to-from) / float64(span)
		}
	}
}

func (w *window) observe(now time.Time, key series, h wire.Histogram) {
	s := w.at(w.indexOf(now))
	if s.latency[key] == nil {
		if len(s.latency) >= maxSeries {
			return
		}
		s.latency[key] = &wire.Histogram{}
	}
	s.latency[key].Merge(h)
}

// each calls do with every slot that is in use, from index first to index last.
func (w *window) each(first, last int, do func(*slot)) {
	for i := range w.ring {
		if s := &w.ring[i]; s.counters != nil && s.index >= first && s.index <= last {
			do(s)
		}
	}
}

// rate returns events per second over rateSlots; false while no slot is complete.
func (w *window) rate(now time.Time, key series) (float64, bool) {
	end := w.indexOf(now) - lateSlots + 1 // the first slot that is left out
	first := max(end-rateSlots, 0)
	if end <= first {
		return 0, false
	}
	var sum float64
	w.each(first, end-1, func(s *slot) { sum += s.counters[key] })
	return sum / (time.Duration(end-first) * slotWidth).Seconds(), true
}

// latencies returns the durations of the last minute, merged by name.
func (w *window) latencies(now time.Time) map[string]*wire.Histogram {
	merged := make(map[string]*wire.Histogram)
	last := w.indexOf(now)
	w.each(last-slots+1, last, func(s *slot) {
		for key, h := range s.latency {
			if merged[key.name] == nil {
				merged[key.name] = &wire.Histogram{}
			}
			merged[key.name].Merge(*h)
		}
	})
	return merged
}
