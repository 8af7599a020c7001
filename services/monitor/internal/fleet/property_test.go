package fleet_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/monitor/internal/api"
	"github.com/confab-chat/confab/services/monitor/internal/fleet"
)

// published is what a few processes have said within a moment: at most three
// processes to a name, running sums that never fall.
func published(t *rapid.T) []any {
	var messages []any
	for _, service := range []string{wire.ServiceEdge, wire.ServiceRoom, wire.ServiceMonitor} {
		for _, instance := range []string{"a", "b"} {
			for gen := range rapid.IntRange(0, 3).Draw(t, "processes of "+service) {
				messages = append(messages, processMessages(t, service, instance, uint64(gen+1))...)
			}
		}
	}
	return messages
}

func processMessages(t *rapid.T, service, instance string, gen uint64) []any {
	var messages []any
	beats := rapid.IntRange(1, 4).Draw(t, "heartbeats")
	for seq := 1; seq <= beats; seq++ {
		hb := &wire.Heartbeat{
			Service: service, Instance: instance, Gen: gen, Seq: uint64(seq),
			StartedMs: start.UnixMilli() + int64(gen), State: wire.StateOK,
		}
		load := rapid.IntRange(0, 9).Draw(t, "load")
		switch service {
		case wire.ServiceEdge:
			hb.Edge = &wire.EdgeLoad{Connections: load}
		case wire.ServiceRoom:
			hb.Room = &wire.RoomLoad{Rooms: load, Shards: shards(load, load+20)}
		}
		if seq == beats && rapid.Bool().Draw(t, "stops") {
			hb.State = wire.StateStopped
		}
		messages = append(messages, hb)
	}
	var sum uint64
	for seq := range rapid.IntRange(0, 3).Draw(t, "telemetries") {
		sum += uint64(rapid.IntRange(0, 50).Draw(t, "counted"))
		messages = append(messages, &wire.Telemetry{
			Service: service, Instance: instance, Gen: gen, Seq: uint64(seq),
			Counters: map[string]uint64{wire.CountConnections: sum, wire.CountDisconnections: sum / 2},
			Rooms: []wire.RoomDetail{
				{RoomID: fmt.Sprint(service, instance, gen), UserCount: seq, LastActivityMs: int64(gen)},
			},
		})
	}
	return messages
}

func apply(f *fleet.Fleet, now time.Time, messages []any) {
	for _, w := range messages {
		switch w := w.(type) {
		case *wire.Heartbeat:
			f.Heartbeat(now, w)
		case *wire.Telemetry:
			f.Telemetry(now, w)
		}
	}
}

// picture is all that a fleet shows, but for what depends on when a message came:
// rates, and heartbeats counted as lost that were only late.
func picture(t *rapid.T, f *fleet.Fleet, now time.Time) string {
	s, err := f.Stats(now, "")
	if err != nil {
		t.Fatal(err)
	}
	s.Rates = api.Rates{}
	for i := range s.Instances {
		s.Instances[i].LostHeartbeats = 0
	}
	all, err := json.Marshal([]any{s, f.Health(now), f.Counters()})
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

// Messages of one moment may be shuffled and repeated: the summary stays the same.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := at(time.Minute)
		messages := published(t)
		one, other := fleet.New(start), fleet.New(start)
		apply(one, now, messages)
		apply(other, now, rapid.Permutation(append(messages, messages...)).Draw(t, "order"))
		if a, b := picture(t, one, now), picture(t, other, now); a != b {
			t.Fatalf("in order:\n%s\nshuffled:\n%s", a, b)
		}
	})
}

// Each process's last counters are in the totals once, and each instance's load.
func TestNothingCountsTwice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f, now := fleet.New(start), at(time.Minute)
		messages := rapid.Permutation(published(t)).Draw(t, "order")
		apply(f, now, messages)

		type process struct {
			instance string
			gen      uint64
		}
		counted := make(map[process]uint64)
		newest := make(map[string]*wire.Heartbeat)
		var reported bool
		for _, w := range messages {
			switch w := w.(type) {
			case *wire.Telemetry:
				if w.Service == wire.ServiceEdge {
					p := process{w.Instance, w.Gen}
					counted[p] = max(counted[p], w.Counters[wire.CountConnections])
					reported = true
				}
			case *wire.Heartbeat:
				have := newest[w.Instance]
				if w.Service == wire.ServiceEdge && (have == nil || w.Gen > have.Gen || w.Gen == have.Gen && w.Seq > have.Seq) {
					newest[w.Instance] = w
				}
			}
		}
		var total uint64
		for _, n := range counted {
			total += n
		}
		var current, live int
		for _, hb := range newest {
			if hb.State != wire.StateStopped {
				current += hb.Edge.Connections
				live++
			}
		}
		s, err := f.Stats(now, "")
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Connections.Total; (got != nil) != reported || reported && *got != total {
			t.Fatalf("total %v, want %d (reported: %v)", got, total, reported)
		}
		if got := s.Connections.Current; (got != nil) != (live > 0) || got != nil && *got != current {
			t.Fatalf("current %v, want %d of %d edges", got, current, live)
		}
	})
}

// Rooms are not counted twice when owners overlap: shares of one shard add up to
// at most one, so all the rooms of disjoint owners are the upper bound.
func TestOverlappingOwners(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f, now := fleet.New(start), at(time.Minute)
		const perShard = 100
		claimed := make(map[int]bool)
		for _, name := range []string{"a", "b", "c"} {
			from := rapid.IntRange(0, 63).Draw(t, "from")
			own := shards(from, rapid.IntRange(from+1, 64).Draw(t, "to"))
			for _, s := range own {
				claimed[s] = true
			}
			received := now.Add(-rapid.SampledFrom([]time.Duration{0, time.Second, 10 * time.Second}).Draw(t, "silence"))
			f.Heartbeat(received, &wire.Heartbeat{
				Service: wire.ServiceRoom, Instance: name, Gen: 1, Seq: 1, State: wire.StateOK,
				Room: &wire.RoomLoad{Shards: own, Rooms: perShard * len(own)},
			})
		}
		if got := *f.Health(now).WebSocket.ActiveRooms; got != perShard*len(claimed) {
			t.Fatalf("%d rooms, want %d", got, perShard*len(claimed))
		}
	})
}

// A silent instance is marked and makes the summary incomplete; its load stays until it is dead.
func TestSilentIsMarked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f, now, connections := fleet.New(start), at(2*time.Minute), 0
		var listed, silent int
		for i := range rapid.IntRange(1, 5).Draw(t, "edges") {
			silence := time.Duration(rapid.IntRange(0, 70_000).Draw(t, "ms")) * time.Millisecond
			f.Heartbeat(now.Add(-silence), &wire.Heartbeat{
				Service: wire.ServiceEdge, Instance: fmt.Sprint(i), Gen: 1, Seq: 1, State: wire.StateOK,
				Edge: &wire.EdgeLoad{Connections: i + 1},
			})
			if silence > fleet.DropAfter {
				continue
			}
			listed++
			if silence <= fleet.DeadAfter {
				connections += i + 1
			}
			if silence > fleet.StaleAfter {
				silent++
			}
		}
		h := f.Health(now)
		var marked int
		for _, service := range h.Services {
			if service.Status.Silent() {
				marked++
			}
		}
		if len(h.Services) != listed || marked != silent || h.Complete {
			t.Fatalf("%d listed, %d marked, complete %v; want %d, %d, false",
				len(h.Services), marked, h.Complete, listed, silent)
		}
		s, err := f.Stats(now, "")
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Connections.Current; (got != nil) != (connections > 0) || got != nil && *got != connections {
			t.Fatalf("connections %v, want %d", got, connections)
		}
	})
}
