package fleet_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/monitor/internal/fleet"
)

var update = flag.Bool("update", false, "rewrite testdata; commit only what you understand")

// scene is a small cluster with a silent second edge and a busy minute.
func scene(t *testing.T) (*fleet.Fleet, time.Time) {
	f := fleet.New(start)
	all := cluster(t, f, at(0))
	edge, room, limit := all[wire.ServiceEdge], all[wire.ServiceRoom], all[wire.ServiceRateLimit]
	edge.hb.Edge = &wire.EdgeLoad{Connections: 12, Users: 10, Rooms: 2, Memberships: 14, QueuedBytes: 512, Fallback: true}
	edge.hb.State, edge.hb.Note = wire.StateDegraded, "permits are decided locally"
	edge.tel.Config = &wire.EdgeConfig{Namespace: "/chat", CORSOrigin: "*", DetailedLogging: true, Metrics: true, Heartbeat: true}
	room.hb.Room.Rooms, room.hb.Room.Users, room.hb.Room.Typing = 2, 11, 1
	room.hb.Room.Shards = shards(0, 64)
	room.tel.Rooms = []wire.RoomDetail{
		{RoomID: "general", UserCount: 9, TypingUsers: 1, CreatedMs: start.UnixMilli(), LastActivityMs: at(59 * time.Second).UnixMilli()},
		{RoomID: "a.b/c:<d>", UserCount: 5, CreatedMs: start.UnixMilli(), LastActivityMs: at(time.Second).UnixMilli()},
	}
	limit.hb.Limit = &wire.LimitLoad{Shards: shards(0, 64), Keys: 21}
	limit.tel.Limits = &wire.LimitConfig{WindowMs: 60_000, Messages: 60, Joins: 20, Typing: 120}
	gone := newProcess(t, f, wire.ServiceEdge, "edge-2", 1)
	gone.hb.Edge.Connections = 3
	gone.beat(at(50 * time.Second))

	now := at(time.Minute)
	beatAll(all, now)
	var accept wire.Histogram
	for i := range 100 {
		accept.Add(time.Duration(i+1) * 100 * time.Microsecond)
	}
	edge.tel.Latency = map[string]wire.Histogram{wire.LatencyAccept: accept}
	edge.sendTelemetry(now, map[string]uint64{
		wire.CountConnections: 15, wire.CountDisconnections: 3, wire.CountViolations: 4, wire.CountDelivered: 1234,
		wire.CountPermits: 130,
	})
	room.sendTelemetry(now, map[string]uint64{wire.CountMessages: 120, wire.CountRoomsCreated: 2})
	limit.sendTelemetry(now, map[string]uint64{wire.CountPermits: 21, wire.CountDenials: 4})
	all[wire.ServiceMonitor].sendTelemetry(now, nil)
	f.Sweep(now)
	return f, now
}

// The bodies are promised to clients: a changed line here is a changed contract.
func TestGoldenBodies(t *testing.T) {
	t.Parallel()
	f, now := scene(t)
	for name, body := range map[string]any{
		"health.json": f.Health(now), "stats.json": stats(t, f, now),
		"health-unknown.json": fleet.New(start).Health(at(time.Minute)),
		"stats-unknown.json":  stats(t, fleet.New(start), at(time.Minute)),
	} {
		var got bytes.Buffer
		encoder := json.NewEncoder(&got)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(body); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s is now:\n%s", name, &got)
		}
	}
}

// The original's fields, from the contract and not from our types.
func TestOriginalFields(t *testing.T) {
	t.Parallel()
	f, now := scene(t)
	for _, test := range []struct {
		body   any
		fields map[string][]string
	}{
		{f.Health(now), map[string][]string{
			"":           {"status", "timestamp", "websocket", "features", "rateLimits", "services", "complete", "notes"},
			"websocket":  {"namespace", "corsOrigin", "connectedUsers", "activeRooms", "totalTypingUsers"},
			"features":   {"detailedLogging", "metrics", "heartbeat"},
			"rateLimits": {"windowMs", "maxMessagesPerWindow", "maxJoinsPerWindow", "maxTypingEventsPerWindow"},
		}},
		{stats(t, f, now), map[string][]string{
			"": {"timestamp", "connections", "rooms", "messages", "rateLimiting", "instances", "rates", "latency",
				"complete", "missing"},
			"connections":  {"current", "total", "totalDisconnections"},
			"rooms":        {"active", "totalCreated", "details"},
			"messages":     {"totalProcessed"},
			"rateLimiting": {"violations"},
		}},
	} {
		raw, err := json.Marshal(test.body)
		if err != nil {
			t.Fatal(err)
		}
		var top map[string]any
		if err := json.Unmarshal(raw, &top); err != nil {
			t.Fatal(err)
		}
		for object, fields := range test.fields {
			in := top
			if object != "" {
				in, _ = top[object].(map[string]any)
			}
			for _, field := range fields {
				if in[field] == nil {
					t.Errorf("%T: %s.%s is missing or null", test.body, object, field)
				}
			}
		}
	}
}
