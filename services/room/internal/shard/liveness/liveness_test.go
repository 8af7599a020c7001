package liveness_test

import (
	"slices"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/liveness"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
)

var start = time.UnixMilli(1_800_000_000_000)

// said is a heartbeat at some second.
type said struct {
	at    int
	gen   uint64
	state wire.State
}

func TestLost(t *testing.T) {
	t.Parallel()
	one := membership.Edge{ID: "e", Gen: 5}
	for name, c := range map[string]struct {
		said  []said
		at    int // second of the question; the caller knows the edge since 0
		grace time.Duration
		lost  bool
	}{
		"heard of":               {[]said{{0, 5, wire.StateOK}}, 5, liveness.DeadGrace, false},
		"silent":                 {[]said{{0, 5, wire.StateOK}}, 6, liveness.DeadGrace, true},
		"degraded is alive":      {[]said{{0, 5, wire.StateOK}, {4, 5, wire.StateDegraded}}, 6, liveness.DeadGrace, false},
		"stopped":                {[]said{{0, 5, wire.StateOK}, {1, 5, wire.StateStopped}}, 1, liveness.DrainGrace, true},
		"stopped, then an echo":  {[]said{{1, 5, wire.StateStopped}, {1, 5, wire.StateOK}}, 1, liveness.DrainGrace, true},
		"replaced":               {[]said{{0, 5, wire.StateOK}, {1, 6, wire.StateOK}}, 1, liveness.DeadGrace, true},
		"an echo of an older":    {[]said{{0, 5, wire.StateOK}, {1, 4, wire.StateStopped}}, 1, liveness.DeadGrace, false},
		"never heard of, early":  {nil, 5, liveness.DeadGrace, false},
		"never heard of, late":   {nil, 6, liveness.DeadGrace, true},
		"newer than its beat":    {[]said{{4, 4, wire.StateOK}}, 6, liveness.DeadGrace, false},
		"newer, but all is dead": {[]said{{0, 4, wire.StateOK}}, 6, liveness.DeadGrace, true},
	} {
		tb := liveness.NewTable()
		for _, s := range c.said {
			tb.Observe(start.Add(time.Duration(s.at)*time.Second), &wire.Heartbeat{Instance: "e", Gen: s.gen, State: s.state})
		}
		grace, lost := tb.Lost(start.Add(time.Duration(c.at)*time.Second), one, start)
		if lost != c.lost || lost && grace != c.grace {
			t.Errorf("%s: lost %v, grace %v", name, lost, grace)
		}
	}
}

// An edge that has registered again under a later generation lives in both words.
func TestGenerationOfAnEdgeThatLives(t *testing.T) {
	t.Parallel()
	tb := liveness.NewTable()
	tb.Observe(start, &wire.Heartbeat{Instance: "e", Gen: 5, EdgeGen: 5})
	tb.Observe(start, &wire.Heartbeat{Instance: "e", Gen: 5, EdgeGen: 8})
	if _, lost := tb.Lost(start, membership.Edge{ID: "e", Gen: 5}, start); !lost {
		t.Error("what it registered before the outage still counts")
	}
	if _, lost := tb.Lost(start, membership.Edge{ID: "e", Gen: 8}, start); lost {
		t.Error("what it has registered since does not count")
	}
	tb.Observe(start, &wire.Heartbeat{Instance: "e", Gen: 5, State: wire.StateStopped})
	if grace, lost := tb.Lost(start, membership.Edge{ID: "e", Gen: 8}, start); !lost || grace != liveness.DrainGrace {
		t.Errorf("stopped: lost %v, grace %v", lost, grace)
	}
}

func TestForgive(t *testing.T) {
	t.Parallel()
	tb := liveness.NewTable()
	tb.Observe(start, &wire.Heartbeat{Instance: "e", Gen: 5})
	later := start.Add(time.Minute)
	tb.ResetSilence(later)
	if _, lost := tb.Lost(later.Add(4*time.Second), membership.Edge{ID: "e", Gen: 5}, start); lost {
		t.Error("silence counts while nobody listened")
	}
	if live := tb.Live(later); !slices.Equal(live, []membership.Edge{{ID: "e", Gen: 5}}) {
		t.Errorf("live: %v", live)
	}
	tb.ResetSilence(later.Add(time.Hour)) // dead edges are not kept alive forever
	if live := tb.Live(later.Add(time.Hour)); len(live) > 0 {
		t.Errorf("live after an hour: %v", live)
	}
}

func TestHolders(t *testing.T) {
	t.Parallel()
	tb := liveness.NewTable()
	h := liveness.NewHolders(tb)
	e := membership.Edge{ID: "e", Gen: 5}
	beat := func(sec int) {
		tb.Observe(start.Add(time.Duration(sec)*time.Second), &wire.Heartbeat{Instance: "e", Gen: 5})
	}
	var lost []membership.Edge
	watch := func(sec int) {
		h.CheckEdges(start.Add(time.Duration(sec)*time.Second), func(e membership.Edge, _ time.Duration) { lost = append(lost, e) })
	}
	beat(0)
	h.Add(start, e)
	for sec := range 20 {
		watch(sec)
	}
	if len(lost) != 1 {
		t.Fatalf("given up %d times", len(lost))
	}
	// What it holds comes in again and is watched again.
	beat(20)
	h.Add(start.Add(21*time.Second), e)
	watch(40)
	if len(lost) != 2 {
		t.Errorf("given up %d times, want 2", len(lost))
	}
}
