package aggregate

import (
	"time"

	"github.com/confab-chat/confab/proto/wire"
)

const (
	slotWidth = 5 * time.Second // the period of telemetry
	slots     = 12              // one minute
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

// at returns the slot of now. A slot left over from an earlier round is emptied first.
func (w *window) at(now time.Time) *slot {
	index := int(max(now.Sub(w.start), 0) / slotWidth)
	s := &w.ring[index%slots]
	if s.index != index || s.counters == nil {
		*s = slot{index, make(map[series]float64), make(map[series]*wire.Histogram)}
	}
	return s
}

// count adds n events that happened during span before now. If span is longer than the
// window (after a network partition), it adds the last minute's share only.
func (w *window) count(now time.Time, span time.Duration, key series, n uint64) {
	share := 1.0
	if span > slots*slotWidth {
		share = float64(slots*slotWidth) / float64(span)
	}
	w.at(now).counters[key] += float64(n) * share
}

func (w *window) observe(now time.Time, key series, h wire.Histogram) {
	s := w.at(now)
	if s.latency[key] == nil {
		if len(s.latency) >= maxSeries {
			return
		}
		s.latency[key] = &wire.Histogram{}
	}
	s.latency[key].Merge(h)
}

// recent calls do with each slot that is not older than the window, and returns the
// time that those slots cover.
func (w *window) recent(now time.Time, do func(*slot)) time.Duration {
	last := int(max(now.Sub(w.start), 0) / slotWidth)
	first := max(last-slots+1, 0)
	for i := range w.ring {
		if s := &w.ring[i]; s.counters != nil && s.index >= first && s.index <= last {
			do(s)
		}
	}
	return max(now.Sub(w.start.Add(time.Duration(first)*slotWidth)), slotWidth)
}

// rate returns events per second over the last minute.
func (w *window) rate(now time.Time, key series) float64 {
	var sum float64
	elapsed := w.recent(now, func(s *slot) { sum += s.counters[key] })
	return sum / elapsed.Seconds()
}

func (w *window) latencies(now time.Time) map[string]*wire.Histogram {
	merged := make(map[string]*wire.Histogram)
	w.recent(now, func(s *slot) {
		for key, h := range s.latency {
			if merged[key.name] == nil {
				merged[key.name] = &wire.Histogram{}
			}
			merged[key.name].Merge(*h)
		}
	})
	return merged
}
