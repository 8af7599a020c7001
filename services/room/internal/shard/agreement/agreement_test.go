package agreement_test

import (
	"slices"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/agreement"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
)

var (
	start = time.UnixMilli(1_800_000_000_000)
	e1    = membership.Edge{ID: "e1", Gen: 1}
	e2    = membership.Edge{ID: "e2", Gen: 5}
)

func part(e membership.Edge, n uint64, last bool) *wire.Snapshot {
	return &wire.Snapshot{Origin: wire.Origin{Edge: e.ID, Gen: e.Gen}, Part: n, Last: last}
}

// Each live edge is asked until its snapshot has arrived.
func TestMissingSnapshotsAreRequested(t *testing.T) {
	t.Parallel()
	s := agreement.New()
	live := []membership.Edge{e1, e2}
	s.Asked(start, live)
	if ask := s.Update(start.Add(agreement.AskEvery/2), live); len(ask) != 0 {
		t.Errorf("asked too early: %v", ask)
	}
	if parts, first := s.Receive(part(e1, 1, true)); len(parts) != 1 || !first || s.Complete() {
		t.Errorf("%d parts, first %v", len(parts), first)
	}
	for n := range 5 {
		now := start.Add(time.Duration(n+1) * agreement.AskEvery)
		if ask := s.Update(now, live); !slices.Equal(ask, []membership.Edge{e2}) {
			t.Fatalf("round %d asks %v", n, ask)
		}
	}
	if s.Receive(part(e2, 1, true)); !s.Complete() {
		t.Error("not complete")
	}
	// An edge that was away is a new one.
	s.Update(start.Add(time.Minute), live[:1])
	if ask := s.Update(start.Add(time.Hour), live); !slices.Equal(ask, []membership.Edge{e2}) {
		t.Errorf("asks %v", ask)
	}
}

// Two checks in a row must differ, and an edge is not asked too often.
func TestDifferingChecks(t *testing.T) {
	t.Parallel()
	s := agreement.New()
	s.Asked(start, []membership.Edge{e1})
	s.Receive(part(e1, 1, true))
	for n, c := range []struct {
		ms        int
		same, ask bool
	}{
		{2000, false, false}, {4000, true, false}, {6000, false, false}, {8000, false, true}, {8500, false, false},
		{9000, false, true}, {9100, true, false}, {12_000, false, false},
	} {
		if ask := s.Checked(start.Add(time.Duration(c.ms)*time.Millisecond), e1, c.same); ask != c.ask {
			t.Errorf("check %d asks: %v", n, ask)
		}
	}
	for range 2 {
		if s.Checked(start, e2, false) {
			t.Error("asks an edge that is not known to live")
		}
	}
}

func TestPartsOfSnapshots(t *testing.T) {
	t.Parallel()
	s := agreement.New()
	for name, c := range map[string]struct {
		parts []*wire.Snapshot
		want  int
	}{
		"in order":        {[]*wire.Snapshot{part(e1, 1, false), part(e1, 2, false), part(e1, 3, true)}, 3},
		"one is missing":  {[]*wire.Snapshot{part(e1, 1, false), part(e1, 3, true)}, 0},
		"the first is":    {[]*wire.Snapshot{part(e1, 2, false), part(e1, 3, true)}, 0},
		"begun again":     {[]*wire.Snapshot{part(e1, 1, false), part(e1, 1, false), part(e1, 2, true)}, 2},
		"without numbers": {[]*wire.Snapshot{part(e1, 0, false), part(e1, 0, true)}, 2},
		"of two edges":    {[]*wire.Snapshot{part(e1, 1, false), part(e2, 1, false), part(e1, 2, true)}, 2},
	} {
		var got []*wire.Snapshot
		for _, p := range c.parts {
			if all, _ := s.Receive(p); all != nil {
				got = all
			}
		}
		if len(got) != c.want {
			t.Errorf("%s: %d parts, want %d", name, len(got), c.want)
		}
	}
}
