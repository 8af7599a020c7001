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
