// Package shard serves the shards that this instance owns. Each owned shard is one goroutine,
// which owns the shard's rooms and users, takes their commands from NATS and replies.
package shard

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
	"github.com/confab-chat/confab/services/room/internal/shard/liveness"
	"github.com/confab-chat/confab/services/room/internal/shard/users/presence"
	"github.com/confab-chat/confab/services/room/internal/stats"
	"github.com/confab-chat/confab/shared/partition"
)

// Config is what all shards of an instance share. Tracer may be nil: then there are no spans.
type Config struct {
	Conn     *nats.Conn
	Streams  int
	Scope    presence.Scope
	Logger   *slog.Logger
	Tracer   trace.Tracer
	Counters *stats.Counters
	Edges    *liveness.Table
	Appended log.Observer // may be nil

	SweepEvery, IdleAfter time.Duration // of rooms without members
	Keep                  sequencer.Retention
}

// Server serves the shards of its instance; it implements partition.Holder. All methods may
// be called concurrently.
type Server struct {
	cfg Config

	mu     sync.Mutex // guards shards
	shards map[int]*shard
}

// NewServer returns a server that owns no shard.
func NewServer(cfg Config) *Server { return &Server{cfg: cfg, shards: make(map[int]*shard)} }

// Acquire starts serving a shard, until Release.
func (s *Server) Acquire(_ context.Context, l partition.Lease) error {
	owned, err := newShard(s.cfg, l)
	if err != nil {
		return fmt.Errorf("acquire shard %d: %w", l.Shard, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shards[l.Shard] = owned
	owned.start()
	return nil
}

// Release stops serving a shard: it takes no new commands, and finishes those under way for
// at most 2 s. Releasing a shard that is not held is a no-op.
func (s *Server) Release(shard int) {
	s.mu.Lock()
	owned := s.shards[shard]
	delete(s.shards, shard)
	s.mu.Unlock()
	if owned != nil {
		owned.stop()
	}
}

// Load sums up the reports of the owned shards, at most a second old. It does not set Shards.
func (s *Server) Load() wire.RoomLoad {
	s.mu.Lock()
	defer s.mu.Unlock()
	var load wire.RoomLoad
	for _, owned := range s.shards {
		rep := owned.report.Load()
		load.Rooms += rep.Rooms
		load.Typing += rep.Typing
		load.Users += rep.online
	}
	return load
}

// Details lists the most active rooms of each owned shard, at most a second old, in no
// particular order.
func (s *Server) Details() []wire.RoomDetail {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []wire.RoomDetail
	for _, owned := range s.shards {
		all = append(all, owned.report.Load().Details...)
	}
	return all
}
