package fleet_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/monitor/internal/api"
	"github.com/confab-chat/confab/services/monitor/internal/fleet"
)

// What a silent owner had counts on until another one has taken its shards over.
func TestShardsCountOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		survivor  []int
		rooms     int // of the survivor
		wantRooms int
	}{
		{"nothing taken over", shards(32, 64), 10, 30},
		{"half taken over", shards(16, 64), 18, 28},
		{"all taken over", shards(0, 64), 29, 29},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, now := fleet.New(start), at(10*time.Second)
			dead := newProcess(t, f, wire.ServiceRoom, "a", 1)
			dead.hb.Room = &wire.RoomLoad{Shards: shards(0, 32), Rooms: 20}
			dead.beat(at(4 * time.Second))
			live := newProcess(t, f, wire.ServiceRoom, "b", 1)
			live.hb.Room = &wire.RoomLoad{Shards: test.survivor, Rooms: test.rooms}
			live.beat(now)
			if got := *f.Health(now).WebSocket.ActiveRooms; got != test.wantRooms {
				t.Errorf("%d rooms, want %d", got, test.wantRooms)
			}
		})
	}
}

func TestOrphanShards(t *testing.T) {
	t.Parallel()
	f := fleet.New(start)
	all := cluster(t, f, at(10*time.Second))
	all[wire.ServiceRoom].hb.Room.Shards = shards(0, 60)
	for s := 11; s <= 17; s++ {
		beatAll(all, at(time.Duration(s)*time.Second))
		f.Sweep(at(time.Duration(s) * time.Second))
		h := f.Health(at(time.Duration(s) * time.Second))
		want := api.Healthy // a hand-over looks like this for a moment
		if s == 17 {
			want = api.Degraded
		}
		if h.Status != want || h.Complete != (want == api.Healthy) {
			t.Errorf("after %d s: %s, complete %v, notes %q", s-11, h.Status, h.Complete, h.Notes)
		}
	}
}

// Unknown is never zero.
func TestUnknownIsNull(t *testing.T) {
	t.Parallel()
	f, now := fleet.New(start), at(10*time.Second)
	h, s := f.Health(now), stats(t, f, now)
	if h.WebSocket != (api.WebSocket{}) || h.Features != (api.Features{}) || h.RateLimits != (api.RateLimits{}) {
		t.Errorf("health knows something: %+v", h)
	}
	if s.Connections != (api.Connections{}) || s.Rooms.Active != nil || s.Rooms.TotalCreated != nil ||
		s.Messages != (api.Messages{}) || s.RateLimiting != (api.RateLimiting{}) || s.Rates != (api.Rates{}) {
		t.Errorf("stats know something: %+v", s)
	}

	// The edges are silent, then dead: their figures stay, then are unknown.
	edge := newProcess(t, f, wire.ServiceEdge, "e", 1)
	edge.hb.Edge.Connections = 8
	edge.beat(now)
	if got := stats(t, f, now.Add(fleet.DeadAfter)).Connections.Current; got == nil || *got != 8 {
		t.Errorf("silent for ten seconds: %v connections, want 8", got)
	}
	if got := stats(t, f, now.Add(fleet.DeadAfter+1)).Connections.Current; got != nil {
		t.Errorf("dead: %d connections, want null", *got)
	}
}

// The counters of a live instance that has reported none are unknown.
func TestNoCounters(t *testing.T) {
	t.Parallel()
	f, now := fleet.New(start), at(10*time.Second)
	cluster(t, f, now)
	newProcess(t, f, wire.ServiceEdge, "e-2", 1).beat(now)
	if stats(t, f, now).Complete {
		t.Error("complete without the counters of edge/e-2")
	}
	if !f.Health(now).Complete {
		t.Error("health needs no counters")
	}
}

func TestSettingsOutliveTheirTeller(t *testing.T) {
	t.Parallel()
	f, now := fleet.New(start), at(10*time.Second)
	edge := newProcess(t, f, wire.ServiceEdge, "e", 1)
	edge.tel.Config = &wire.EdgeConfig{Namespace: "/chat"}
	edge.tel.Limits = &wire.LimitConfig{Messages: 1} // a fallback's
	limit := newProcess(t, f, wire.ServiceRateLimit, "l", 1)
	limit.tel.Limits = &wire.LimitConfig{Messages: 60}
	edge.sendTelemetry(now, nil)
	limit.sendTelemetry(now, nil)
	edge.sendTelemetry(now, nil)
	h := f.Health(at(time.Hour))
	if h.WebSocket.Namespace == nil || *h.WebSocket.Namespace != "/chat" {
		t.Errorf("namespace %v", h.WebSocket.Namespace)
	}
	if h.RateLimits.MaxMessagesPerWindow == nil || *h.RateLimits.MaxMessagesPerWindow != 60 {
		t.Errorf("limits %+v, want those of ratelimit", h.RateLimits)
	}
}

func TestRoomPages(t *testing.T) {
	t.Parallel()
	f, now := fleet.New(start), at(10*time.Second)
	for i, name := range []string{"a", "b"} {
		room := newProcess(t, f, wire.ServiceRoom, name, 1)
		for n := range 130 {
			// Both know rooms 100 to 129; b's report is newer.
			room.tel.Rooms = append(room.tel.Rooms, wire.RoomDetail{
				RoomID: fmt.Sprint("r", n+100*i), UserCount: i,
				LastActivityMs: int64(1000 + (n+100*i)/7 + i),
			})
		}
		room.beat(now)
		room.sendTelemetry(now, nil)
	}
	seen, cursor, last := make(map[string]int), "", int64(1<<62)
	for page := 0; ; page++ {
		s, err := f.Stats(now, cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range s.Rooms.Details {
			if int64(r.LastActivity) > last {
				t.Errorf("page %d: %s is more active than what came before", page, r.RoomID)
			}
			seen[r.RoomID]++
			last = int64(r.LastActivity)
			if r.RoomID == "r110" && r.UserCount != 1 {
				t.Error("r110 as the older owner knew it")
			}
		}
		if cursor = s.Rooms.NextCursor; cursor == "" {
			if page != 2 || len(s.Rooms.Details) != 30 {
				t.Errorf("last page is %d with %d rooms, want 2 with 30", page, len(s.Rooms.Details))
			}
			break
		}
		if len(s.Rooms.Details) != fleet.PageSize {
			t.Errorf("page %d has %d rooms", page, len(s.Rooms.Details))
		}
	}
	if len(seen) != 230 {
		t.Errorf("%d rooms seen, want 230", len(seen))
	}
	for room, n := range seen {
		if n != 1 {
			t.Errorf("%s seen %d times", room, n)
		}
	}
	for _, bad := range []string{"?", "AAAA", "IA"} {
		if _, err := f.Stats(now, bad); !errors.Is(err, fleet.ErrCursor) {
			t.Errorf("cursor %q: %v", bad, err)
		}
	}
}

// The rooms of an instance that has left or been dropped are no longer listed.
func TestRoomsLeaveWithTheirOwner(t *testing.T) {
	t.Parallel()
	f, now := fleet.New(start), at(10*time.Second)
	room := newProcess(t, f, wire.ServiceRoom, "a", 1)
	room.tel.Rooms = []wire.RoomDetail{{RoomID: "general"}}
	room.beat(now)
	room.sendTelemetry(now, nil)
	if n := len(stats(t, f, now).Rooms.Details); n != 1 {
		t.Fatalf("%d rooms, want 1", n)
	}
	late := now.Add(fleet.DeadAfter + 1)
	f.Sweep(late)
	if n := len(stats(t, f, late).Rooms.Details); n != 0 {
		t.Errorf("dead: %d rooms listed", n)
	}
	room.beat(late)
	f.Sweep(late)
	if n := len(stats(t, f, late).Rooms.Details); n != 1 {
		t.Errorf("back: %d rooms listed, want 1", n)
	}
	room.hb.State = wire.StateStopped
	room.beat(late)
	if n := len(stats(t, f, late).Rooms.Details); n != 0 {
		t.Errorf("stopped: %d rooms listed", n)
	}
}

// The rooms of a silent owner are listed until another instance has taken its shards over.
func TestRoomsOfASilentOwner(t *testing.T) {
	t.Parallel()
	f, now := fleet.New(start), at(10*time.Second)
	dead := newProcess(t, f, wire.ServiceRoom, "a", 1)
	dead.tel.Rooms = []wire.RoomDetail{{RoomID: "general", UserCount: 10, LastActivityMs: 1}}
	dead.beat(now)
	dead.sendTelemetry(now, nil)
	live := newProcess(t, f, wire.ServiceRoom, "b", 1)
	live.hb.Room.Shards = nil
	for second := range 9 {
		now := now.Add(time.Duration(second) * time.Second)
		taken := second >= 5
		if taken {
			live.hb.Room.Shards = shards(0, subject.Shards)
		}
		live.beat(now)
		live.sendTelemetry(now, nil)
		f.Sweep(now)
		if n := len(stats(t, f, now).Rooms.Details); n != 1 && !taken || n != 0 && taken {
			t.Errorf("after %d s: %d rooms listed; taken over: %v", second, n, taken)
		}
	}
}

// An edge dies, and another one that was cut off returns: their connections leave the totals,
// are counted as closed once, and never less than before.
func TestConnectionsOfADeadEdge(t *testing.T) {
	t.Parallel()
	f, now := fleet.New(start), at(10*time.Second)
	all := cluster(t, f, now)
	all[wire.ServiceEdge].hb.Edge.Connections = 1
	dead, cut := newProcess(t, f, wire.ServiceEdge, "dead", 1), newProcess(t, f, wire.ServiceEdge, "cut", 1)
	for _, edge := range []*process{dead, cut} {
		edge.hb.Edge.Connections = 50
		edge.beat(now)
		edge.sendTelemetry(now, map[string]uint64{wire.CountConnections: 70, wire.CountDisconnections: 20})
	}
	check := func(now time.Time, current int, closed uint64) {
		t.Helper()
		beatAll(all, now)
		all[wire.ServiceEdge].sendTelemetry(now, nil)
		f.Sweep(now)
		c := stats(t, f, now).Connections
		if *c.Current != current || *c.Total != 140 || *c.TotalDisconnections != closed {
			t.Errorf("%v: %d of %d connections, %d closed; want %d of 140, %d closed",
				now.Sub(start), *c.Current, *c.Total, *c.TotalDisconnections, current, closed)
		}
	}
	check(now.Add(fleet.DeadAfter), 101, 40)
	check(now.Add(fleet.DeadAfter+time.Second), 1, 140)
	if notes := stats(t, f, now.Add(fleet.DeadAfter+time.Second)).Notes; !slices.Contains(notes, "edge/dead: missing; its 50 connections count as closed") {
		t.Errorf("notes %q", notes)
	}
	back := now.Add(20 * time.Second)
	for i, disconnections := range []uint64{20, 21, 65, 70} {
		cut.hb.Edge.Connections = int(70 - disconnections)
		cut.beat(back)
		cut.sendTelemetry(back, map[string]uint64{wire.CountConnections: 70, wire.CountDisconnections: disconnections})
		check(back.Add(time.Duration(i)*time.Second), 1+int(70-disconnections), 140)
	}
}
