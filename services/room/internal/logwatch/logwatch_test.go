package logwatch_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/services/room/internal/logwatch"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
)

const streams = 2

// scene is a log of two streams, and a Watch of its shards.
type scene struct {
	*testing.T
	server *natstest.Server
	gate   *natstest.Gate // of the Watch
	js     jetstream.JetStream
	watch  *logwatch.Watch
	moves  atomic.Int32
	owned  []int // static
}

func newScene(t *testing.T, owned ...int) *scene {
	s := &scene{T: t, server: natstest.Start(t), owned: owned}
	s.gate = s.server.Gate(t)
	s.js = s.jetStream(s.server.Conn(t))
	config := log.Config{Streams: streams, Replicas: 1}
	if err := log.Provision(t.Context(), s.js, config); err != nil {
		t.Fatal(err)
	}
	nc := s.gate.Conn(t)
	js := s.jetStream(nc)
	s.watch = logwatch.New(logwatch.Options{
		Conn: nc, Streams: streams, Owned: func() []int { return s.owned },
		Make:   func(ctx context.Context) error { return log.Provision(ctx, js, config) },
		Move:   func(string) { s.moves.Add(1) },
		Logger: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.watch.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return s
}

func (s *scene) jetStream(nc *nats.Conn) jetstream.JetStream {
	s.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		s.Fatal(err)
	}
	return js
}

// becomes waits for a state whose note has a part.
func (s *scene) becomes(failing int, stuck bool, note string) {
	s.Helper()
	eventually.OK(s, "state of the log", func() error {
		if st := s.watch.State(); st.Owned != len(s.owned) || st.Failing != failing || st.Stuck != stuck ||
			!strings.Contains(st.Note, note) || (note == "") != (st.Note == "") {
			return errors.New(st.Note)
		}
		return nil
	})
}

// last returns the position of the last record of a stream.
func (s *scene) last(k int) uint64 {
	s.Helper()
	stream, err := s.js.Stream(s.Context(), subject.LogStream(k))
	if err != nil {
		return 0
	}
	return stream.CachedInfo().State.LastSeq
}

// A stream that refuses to store is found without any append, and so is that it stores again.
func TestStreamRefuses(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		s := newScene(t, 2, 3, 4)
		limit := func(messages int64) {
			stream, err := s.js.Stream(t.Context(), subject.LogStream(0))
			if err != nil {
				t.Fatal(err)
			}
			c := stream.CachedInfo().Config
			c.MaxMsgs, c.Discard = messages, jetstream.DiscardNew
			if _, err := s.js.UpdateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		eventually.True(t, "a probe", func() bool { return s.last(0) > 0 && s.last(1) > 0 })
		s.becomes(0, false, "")
		limit(1)
		s.becomes(2, false, "LOG_0 refuses to store: ")
		if n := s.moves.Load(); n != 0 {
			t.Errorf("moved %d times although another stream stores", n)
		}
		limit(-1)
		s.becomes(0, false, "")
	})
}

// A stream that was deleted is made again.
func TestStreamIsMissing(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		s := newScene(t, 1)
		eventually.True(t, "a probe", func() bool { return s.last(1) > 0 })
		if err := s.js.DeleteStream(t.Context(), subject.LogStream(1)); err != nil {
			t.Fatal(err)
		}
		s.watch.Appended(subject.LogStream(1), nats.ErrNoResponders)
		eventually.True(t, "the stream is there again", func() bool { return s.last(1) > 0 })
		s.becomes(0, false, "")
	})
}

// Nothing answers: the connection is to be moved, also when the shards were lost over it.
func TestStuck(t *testing.T) {
	for name, owned := range map[string][]int{"with shards": {0, 1}, "without": nil} {
		t.Run(name, func(t *testing.T) {
			natstest.VirtualTime(t, func(t *testing.T) {
				s := newScene(t, owned...)
				eventually.True(t, "a probe", func() bool { return s.last(0) > 0 })
				s.gate.Blackhole(natstest.Both)
				s.becomes(len(owned), true, "LOG_0 has no leader, or JetStream does not run")
				eventually.True(t, "a move", func() bool { return s.moves.Load() > 0 })
				s.gate.Open()
				s.becomes(0, false, "")
			})
		})
	}
}
