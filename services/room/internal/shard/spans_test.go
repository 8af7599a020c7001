package shard_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/services/room/internal/shard"
	"github.com/confab-chat/confab/services/room/internal/shard/liveness"
	"github.com/confab-chat/confab/services/room/internal/stats"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/shared/partition"
)

// tracer notes the spans that begin and end.
type tracer struct {
	noop.Tracer
	mu    sync.Mutex // guards spans
	spans map[string]trace.TraceID
	ended int
}

type span struct {
	noop.Span
	t *tracer
}

func (t *tracer) Start(ctx context.Context, name string, _ ...trace.SpanStartOption) (context.Context, trace.Span) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spans[name] = trace.SpanContextFromContext(ctx).TraceID()
	return ctx, span{t: t}
}

func (s span) End(...trace.SpanEndOption) {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	s.t.ended++
}

// A command whose sender is traced gets a span that ends with its reply; others
// cost nothing.
func TestSpans(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc := srv.Conn(t)
	provision(t, nc, 1)
	tr := &tracer{spans: map[string]trace.TraceID{}}
	s := shard.NewServer(shard.Config{
		Conn: nc, Streams: streams, Logger: slog.New(slog.DiscardHandler), Tracer: tr,
		Counters: stats.New(slog.New(slog.DiscardHandler)), Edges: liveness.NewTable(),
		SweepEvery: time.Minute, IdleAfter: time.Minute,
	})
	shard := subject.Shard("general")
	if err := s.Acquire(t.Context(), partition.Lease{Shard: shard, Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Release(shard) })
	cmd := statsOf("general")
	for _, parent := range []string{
		"",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", // not sampled
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	} {
		m := nats.NewMsg(subject.RoomCommand(shard, event.NameGetRoomStats))
		m.Data = cmd
		if parent != "" {
			m.Header["traceparent"] = []string{parent}
		}
		if _, err := nc.RequestMsg(m, 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if id := tr.spans["room getRoomStats"].String(); len(tr.spans) != 1 || tr.ended != 1 || id != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("%d spans, %d ended, trace %s", len(tr.spans), tr.ended, id)
	}
}
