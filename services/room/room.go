// Package room is the room service: it owns the rooms of some of the shards, orders their
// messages in the message log, and knows their members. It also owns the presence of the
// users of the same shards.
package room

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/logwatch"
	"github.com/confab-chat/confab/services/room/internal/shard"
	"github.com/confab-chat/confab/services/room/internal/shard/liveness"
	"github.com/confab-chat/confab/services/room/internal/stats"
	"github.com/confab-chat/confab/shared/admin"
	"github.com/confab-chat/confab/shared/heartbeat"
	"github.com/confab-chat/confab/shared/lifecycle"
	"github.com/confab-chat/confab/shared/natsconn"
	"github.com/confab-chat/confab/shared/partition"
)

// Service describes the room service to lifecycle.Main.
func Service() lifecycle.Service[Config] {
	return lifecycle.Service[Config]{
		Name:    wire.ServiceRoom,
		Summary: "orders the messages of rooms, and knows their members and who is online",
		Run:     Run,
	}
}

// Run serves until ctx ends; then it finishes the commands under way, releases its shards
// and returns. NATS may be absent at the start and at any later time. The error is about
// settings: those of the existing log, or how to reach NATS.
func Run(ctx context.Context, cfg Config, deps lifecycle.Deps) error {
	s, err := newService(cfg, deps)
	if err != nil {
		return err
	}
	s.logger.Info("room service starting", "event", "room.start",
		"durability", cfg.Durability, "replicas", cfg.Replicas, "streams", cfg.Streams, "presence", cfg.PresenceScope)
	return lifecycle.RunParts(ctx,
		lifecycle.Part{Name: "nats", Run: s.drainAtEnd},
		lifecycle.Part{Name: "heartbeat", Run: s.publishHeartbeats},
		lifecycle.Part{Name: "edges", Run: func(ctx context.Context) error {
			return shard.WatchEdges(ctx, s.conn, s.edges)
		}},
		lifecycle.Part{Name: "shards", Run: s.runShards},
	)
}

// service is one instance of the room service. All fields are static after newService, and
// safe for concurrent use.
type service struct {
	cfg      Config
	deps     lifecycle.Deps
	logger   *slog.Logger
	conn     *nats.Conn
	status   *natsconn.Status
	edges    *liveness.Table
	counters *stats.Counters
	server   *shard.Server
	member   *partition.Member
	log      storage
	watch    *logwatch.Watch
}

func newService(cfg Config, deps lifecycle.Deps) (*service, error) {
	s := &service{
		cfg: cfg, deps: deps, logger: deps.Telemetry.Logger,
		status: new(natsconn.Status), edges: liveness.NewTable(),
		counters: stats.New(deps.Telemetry.Logger),
	}
	var err error
	s.conn, err = natsconn.Connect(natsconn.Options{
		Service: deps.Service, Instance: deps.Instance, URL: cfg.NATSURL, CredsFile: cfg.NATSCredsFile,
		InProcess: deps.NATS, Peers: subject.HeartbeatOf(wire.ServiceRoom), Status: s.status, Logger: s.logger,
	})
	if err != nil {
		return nil, err
	}
	s.watch = logwatch.New(logwatch.Options{
		Conn: s.conn, Streams: cfg.Streams, Owned: s.owned, Logger: s.logger,
		Make: s.makeStreams, Move: func(why string) { s.status.Move(s.conn, why) },
	})
	every, idle := cfg.sweepTimes()
	s.server = shard.NewServer(shard.Config{
		Conn: s.conn, Streams: cfg.Streams, Scope: cfg.scope(), Logger: s.logger,
		Tracer: deps.Telemetry.Tracer, Counters: s.counters, Edges: s.edges, Appended: s.watch.Appended,
		SweepEvery: every, IdleAfter: idle, Keep: cfg.retention(),
	})
	s.member, err = partition.New(partition.Options{
		Conn: s.conn, Group: subject.QueueRoom, Instance: deps.Instance, Shards: subject.Shards,
		Replicas: cfg.Replicas, Logger: s.logger,
	}, s.server)
	if err == nil {
		err = s.registerChecks()
	}
	if err != nil {
		s.conn.Close()
		return nil, fmt.Errorf("start room service: %w", err)
	}
	return s, nil
}

// registerChecks registers instruments and readiness checks.
func (s *service) registerChecks() error {
	if err := s.status.Register(s.deps.Telemetry.Meter); err != nil {
		return err
	}
	if err := s.counters.Register(s.deps.Telemetry.Meter, s.server.Load); err != nil {
		return err
	}
	s.deps.Admin.Ready(s.deps.Service+" log", s.logReady)
	s.deps.Admin.Ready(s.deps.Service+" shards", admin.Once("owners of all shards", s.member.Covered))
	s.deps.Admin.Ready(s.deps.Service, s.natsReady) // the last one: it ends the state "starting"
	return nil
}

// runShards creates the log, and then watches it and serves the shards that this instance owns.
func (s *service) runShards(ctx context.Context) error {
	if err := s.log.provision(ctx, s.conn, s.cfg.log(), s.logger); err != nil || ctx.Err() != nil {
		return err
	}
	if err := s.checkDurability(ctx); err != nil {
		return err
	}
	return lifecycle.RunParts(ctx,
		lifecycle.Part{Name: "log", Run: s.watch.Run},
		lifecycle.Part{Name: "leases", Run: s.member.Run},
	)
}

// owned returns the shards that this instance owns.
func (s *service) owned() []int {
	var shards []int
	for _, l := range s.member.Held() {
		shards = append(shards, l.Shard)
	}
	return shards
}

// drainAtEnd drains the connection after all parts that use it have ended.
func (s *service) drainAtEnd(ctx context.Context) error {
	<-ctx.Done()
	return natsconn.Drain(context.WithoutCancel(ctx), s.conn)
}

func (s *service) publishHeartbeats(ctx context.Context) error {
	return heartbeat.Run(ctx, s.conn, heartbeat.Source{
		Service: s.deps.Service, Instance: s.deps.Instance, Gen: s.deps.Gen, Version: s.deps.Version,
		Beat: s.fillHeartbeat, Count: s.fillTelemetry,
	})
}

// fillHeartbeat adds what the instance owns to a heartbeat.
func (s *service) fillHeartbeat(hb *wire.Heartbeat) {
	load, log := s.server.Load(), s.watch.State()
	load.Shards, load.Failing = s.owned(), log.Failing
	hb.Room = &load
	if hb.State, hb.Note = s.log.state(); hb.State == wire.StateOK && log.Note != "" {
		hb.State, hb.Note = wire.StateDegraded, log.Note
	}
}

// fillTelemetry adds the counters and the most active rooms to telemetry.
func (s *service) fillTelemetry(t *wire.Telemetry) {
	t.Counters = map[string]uint64{
		wire.CountMessages:     s.counters.Messages.Load(),
		wire.CountRoomsCreated: s.counters.RoomsCreated.Load(),
	}
	t.Latency = map[string]wire.Histogram{wire.LatencyAppend: s.counters.Appends()}
	rooms := s.server.Details()
	slices.SortFunc(rooms, func(a, b wire.RoomDetail) int {
		return cmp.Or(cmp.Compare(b.LastActivityMs, a.LastActivityMs), cmp.Compare(a.RoomID, b.RoomID))
	})
	t.Rooms = rooms[:min(len(rooms), wire.MaxDetails)]
}
