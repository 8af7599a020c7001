package log_test

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
	"github.com/confab-chat/confab/shared/natstest"
)

// Probes are stored, belong to no room, and are removed.
func TestProbe(t *testing.T) {
	t.Parallel()
	const shard = 3
	nc := natstest.Start(t).Conn(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Probe(t.Context(), nc, shard); !errors.Is(err, log.ErrUncertain) {
		t.Errorf("without a stream: %v", err)
	}
	if err := log.Provision(t.Context(), js, log.Config{Streams: 2, Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	const stream = "LOG_1"
	for range 20 {
		if err := log.Probe(t.Context(), nc, shard); err != nil {
			t.Fatal(err)
		}
	}
	l := syncLog{open(t, nc)}
	large, err := wait(func(done func([]log.Room, error)) { l.LargeRooms(shard, 2, 10, done) })
	if err != nil || len(large) != 0 {
		t.Errorf("rooms %v, %v", large, err)
	}
	if err := log.PurgeProbes(t.Context(), nc, stream, shard); err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	if st := s.CachedInfo().State; st.Msgs != 1 || st.LastSeq != 20 {
		t.Errorf("%d probes are left of %d", st.Msgs, st.LastSeq)
	}
	if info, err := log.Inspect(t.Context(), nc, stream); err != nil || len(info.Behind) != 0 {
		t.Errorf("inspect: %+v, %v", info, err)
	}
	if _, err := log.Inspect(t.Context(), nc, "LOG_7"); !errors.Is(err, log.ErrNoStream) {
		t.Errorf("inspect a missing stream: %v", err)
	}
}

// A stream that acknowledges before it writes is refused where appends must be durable.
func TestAsyncPersistence(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Conn(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	config := log.Config{Streams: 1, Replicas: 1}
	if err := provision(t, nc, config); err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "LOG_0")
	if err != nil {
		t.Fatal(err)
	}
	async := s.CachedInfo().Config
	async.PersistMode = jetstream.AsyncPersistMode
	if err := js.DeleteStream(t.Context(), "LOG_0"); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), async); err != nil {
		t.Fatal(err)
	}
	for durable, want := range map[bool]error{false: nil, true: log.ErrMismatch} {
		config.Durable = durable
		if err := provision(t, nc, config); !errors.Is(err, want) {
			t.Errorf("durable %v: %v, want %v", durable, err, want)
		}
	}
}
