package limit_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/limit"
)

// A log that goes from one process to another, with clocks that have nothing in
// common, never grants more than one that stays.
func TestPackedIsNoLessStrict(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 3000).Draw(t, "limit")
		here, there := time.Unix(1000, 0), time.Unix(77_000, 12345)
		stays, goes := limit.NewTable(10), limit.NewTable(10)
		key := limit.Key{User: "ann", Action: wire.ActionMessage}
		for range rapid.IntRange(0, 4000).Draw(t, "before") {
			here = here.Add(time.Duration(rapid.IntRange(0, 40_000).Draw(t, "us")) * time.Microsecond)
			stays.Take(here, key, most)
		}
		goes.Unpack(there, "ann", stays.Pack(here, "ann"))
		for range rapid.IntRange(0, 200).Draw(t, "after") {
			d := time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "ns"))
			here, there = here.Add(d), there.Add(d)
			kept := stays.Snapshot(nil, here, key)
			moved := goes.Snapshot(nil, there, key)
			if len(moved) < len(kept) {
				t.Fatalf("%d grants count where it went, %d where it stayed", len(moved), len(kept))
			}
		}
	})
}

func TestPackKeepsActionsApart(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	a, b := limit.NewTable(10), limit.NewTable(10)
	for action, n := range map[wire.Action]int{wire.ActionMessage: 3, wire.ActionTyping: 1} {
		for range n {
			a.Take(now, limit.Key{User: "ann", Action: action}, 5)
		}
	}
	a.Take(now, limit.Key{User: "bob", Action: wire.ActionMessage}, 5)
	b.Take(now, limit.Key{User: "ann", Action: wire.ActionJoin}, 5) // gone with Unpack
	b.Unpack(now, "ann", a.Pack(now, "ann"))
	for _, action := range limit.Actions() {
		want := map[wire.Action]int{wire.ActionMessage: 3, wire.ActionTyping: 1}[action]
		if got := len(b.Snapshot(nil, now, limit.Key{User: "ann", Action: action})); got != want {
			t.Errorf("action %d: %d grants, want %d", action, got, want)
		}
	}
	if a.Forget("ann"); len(a.Pack(now, "ann")) != 0 || len(a.Pack(now, "bob")) != 1 {
		t.Error("forgot the wrong one")
	}
}

// The number of grants in one message is bounded, for every limit.
func TestPackIsBounded(t *testing.T) {
	t.Parallel()
	now, table := time.Unix(1000, 0), limit.NewTable(10)
	for range 50_000 {
		now = now.Add(time.Millisecond)
		table.Take(now, limit.Key{User: "ann", Action: wire.ActionMessage}, 1_000_000)
	}
	packed := table.Pack(now, "ann")
	total := uint64(0)
	for _, r := range packed[0].Runs {
		total += r.Count
	}
	if n := len(packed[0].Runs); n > 1024 || total != 50_000 {
		t.Errorf("%d runs of %d grants", n, total)
	}
	// A run that no correct edge sends costs no more than the largest log.
	table.Unpack(now, "ann", []wire.Grants{{Action: wire.ActionMessage, Runs: []wire.Run{{Count: 1 << 62}, {Count: 1 << 62}}}})
	if n := len(table.Snapshot(nil, now, limit.Key{User: "ann", Action: wire.ActionMessage})); n > 1<<20 {
		t.Errorf("%d grants", n)
	}
}
