package log_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natsconn"
	"github.com/confab-chat/confab/shared/natstest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// A server leaves these behind when a stream gets more replicas.
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"),
	)
}

var config = log.Config{Streams: 4, Replicas: 1}

// provision creates the streams. Like the service it tries again after an error that may pass: a
// stream that has no leader yet does not answer. It may be called on any goroutine.
func provision(tb testing.TB, nc *nats.Conn, c log.Config) error {
	tb.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	var mismatch error
	return errors.Join(eventually.Retry(func() error {
		ctx, cancel := context.WithTimeout(tb.Context(), 5*time.Second)
		defer cancel()
		err := log.Provision(ctx, js, c)
		if errors.Is(err, log.ErrMismatch) {
			mismatch = err
			return nil
		}
		return err
	}), mismatch)
}

// open returns a Log on nc and runs what answers it.
func open(tb testing.TB, nc *nats.Conn) *log.Log {
	tb.Helper()
	deliver := make(chan *nats.Msg, 4096)
	r, err := natsconn.NewRequester(nc, deliver)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx) })
	wg.Go(func() {
		for {
			select {
			case m := <-deliver:
				r.Handle(m)
			case <-ctx.Done():
				return
			}
		}
	})
	tb.Cleanup(func() { cancel(); wg.Wait() })
	return log.New(r, nil)
}

// syncLog makes the calls of a Log wait for their outcome.
type syncLog struct{ *log.Log }

type outcome[T any] struct {
	v   T
	err error
}

func wait[T any](call func(done func(T, error))) (T, error) {
	got := make(chan outcome[T], 1)
	call(func(v T, err error) { got <- outcome[T]{v, err} })
	o := <-got
	return o.v, o.err
}

func (l syncLog) append(room log.Room, expect uint64, record string) (uint64, error) {
	return wait(func(done func(uint64, error)) { l.Append(room, expect, []byte(record), done) })
}

// store appends record although the machine may be busy, or the stream without a leader,
// as an owner does: after an append of unknown outcome it reads what is there.
func (l syncLog) store(tb testing.TB, room log.Room, expect uint64, record string) (pos uint64) {
	tb.Helper()
	eventually.OK(tb, "append", func() error {
		var err error
		if pos, err = l.append(room, expect, record); err == nil {
			return nil
		}
		s, unread := l.tail(room)
		if unread == nil && s.Pos > expect && string(s.Data) == record {
			pos = s.Pos
			return nil
		}
		return errors.Join(err, unread)
	})
	return pos
}

func (l syncLog) tail(room log.Room) (log.Stored, error) {
	return wait(func(done func(log.Stored, error)) { l.Tail(room, done) })
}

func (l syncLog) next(room log.Room, from uint64) (log.Stored, error) {
	return wait(func(done func(log.Stored, error)) { l.Next(room, from, done) })
}

func (l syncLog) at(room log.Room, pos uint64) (log.Stored, error) {
	return wait(func(done func(log.Stored, error)) { l.At(room, pos, done) })
}

func (l syncLog) scan(room log.Room, from uint64, batch, maxBytes int) ([]log.Stored, error) {
	var all []log.Stored
	return wait(func(done func([]log.Stored, error)) {
		l.Range(room, from, batch, maxBytes, func(s log.Stored, err error) bool {
			if err != nil {
				done(all, err)
				return false
			}
			all = append(all, s)
			return true
		})
	})
}

func start(t *testing.T) (syncLog, *nats.Conn) {
	t.Helper()
	nc := natstest.Start(t).Conn(t)
	if err := provision(t, nc, config); err != nil {
		t.Fatal(err)
	}
	return syncLog{open(t, nc)}, nc
}

func TestAppendIsCompareAndSet(t *testing.T) {
	t.Parallel()
	l, _ := start(t)
	room := log.RoomOf("general", config.Streams)

	if _, err := l.tail(room); !errors.Is(err, log.ErrNotFound) {
		t.Fatalf("tail of an empty room: %v", err)
	}
	first := l.store(t, room, 0, "one")
	for name, expect := range map[string]uint64{"empty room": 0, "a position that never was": first + 7} {
		if _, err := l.append(room, expect, "no"); !errors.Is(err, log.ErrConflict) {
			t.Errorf("expecting %s: got %v, want ErrConflict", name, err)
		}
	}
	second := l.store(t, room, first, "two")
	if second <= first {
		t.Fatalf("the second append is at %d, the first at %d", second, first)
	}
	if s, err := l.tail(room); err != nil || s.Pos != second || string(s.Data) != "two" {
		t.Errorf("tail: %+v, %v", s, err)
	}
}

func TestReads(t *testing.T) {
	t.Parallel()
	l, _ := start(t)
	// Two rooms of one stream, in turn, so that positions have holes.
	a, b := log.RoomOf("a", config.Streams), log.Room{}
	for i := 0; ; i++ {
		if b = log.RoomOf(fmt.Sprintf("b %d", i), config.Streams); b.Stream == a.Stream {
			break
		}
	}
	var pos []uint64
	for i := range 20 {
		for _, r := range []log.Room{a, b} {
			tail, err := l.tail(r)
			if err != nil && !errors.Is(err, log.ErrNotFound) {
				t.Fatal(err)
			}
			p := l.store(t, r, tail.Pos, fmt.Sprintf("%s %d", r.Subject, i))
			if r == a {
				pos = append(pos, p)
			}
		}
	}
	if s, err := l.at(a, pos[3]); err != nil || !strings.HasSuffix(string(s.Data), " 3") || s.Pos != pos[3] {
		t.Errorf("at: %+v, %v", s, err)
	}
	if _, err := l.at(a, pos[3]+1); !errors.Is(err, log.ErrNotFound) {
		t.Errorf("at the other room's record: %v", err)
	}
	if _, err := l.at(a, pos[19]+100); !errors.Is(err, log.ErrNotFound) {
		t.Errorf("at a position that is not there yet: %v", err)
	}
	if s, err := l.next(a, pos[3]+1); err != nil || s.Pos != pos[4] {
		t.Errorf("next: %+v, %v", s, err)
	}
	if _, err := l.next(a, pos[19]+1); !errors.Is(err, log.ErrNotFound) {
		t.Errorf("next after the end: %v", err)
	}
	for name, c := range map[string]struct {
		from            uint64
		batch, maxBytes int
		first, n        int
	}{
		"from the beginning":     {0, 100, 1 << 20, 0, 20},
		"from the middle":        {pos[9] + 1, 100, 1 << 20, 10, 10},
		"as many as asked":       {pos[5], 4, 1 << 20, 5, 4},
		"as many bytes as asked": {pos[5], 100, 1, 5, 1},
	} {
		got, err := l.scan(a, c.from, c.batch, c.maxBytes)
		if !errors.Is(err, log.ErrEnd) || len(got) != c.n || got[0].Pos != pos[c.first] {
			t.Errorf("%s: %d records, %v", name, len(got), err)
		}
	}
	if got, err := l.scan(a, pos[19]+1, 10, 1<<20); len(got) > 0 || !errors.Is(err, log.ErrNotFound) && !errors.Is(err, log.ErrEnd) {
		t.Errorf("after the end: %d records, %v", len(got), err)
	}
	large, err := wait(func(done func([]log.Room, error)) { l.LargeRooms(subject.Shard("a"), config.Streams, 19, done) })
	if err != nil || len(large) != 1 || large[0] != a {
		t.Errorf("rooms with more than 19 records: %v, %v", large, err)
	}
	large, err = wait(func(done func([]log.Room, error)) { l.LargeRooms(subject.Shard("a"), config.Streams, 20, done) })
	if err != nil || len(large) != 0 {
		t.Errorf("rooms with more than 20 records: %v, %v", large, err)
	}
	n, err := wait(func(done func(uint64, error)) { l.Purge(a, pos[10], done) })
	if err != nil || n != 10 {
		t.Errorf("purged %d, %v", n, err)
	}
	if s, err := l.next(a, 0); err != nil || s.Pos != pos[10] {
		t.Errorf("oldest after purge: %+v, %v", s, err)
	}
}

func TestFailures(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		srv := natstest.Start(t)
		// Publishing while the server goes away is the point here, not a failure.
		nc := srv.Conn(t, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		l := syncLog{open(t, nc)}
		room := log.RoomOf("general", config.Streams)
		if _, err := l.append(room, 0, "x"); !errors.Is(err, log.ErrUncertain) || !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("without a stream: %v", err)
		}
		if _, err := l.tail(room); err == nil || errors.Is(err, log.ErrNotFound) {
			t.Errorf("tail without a stream must not look like an empty room: %v", err)
		}
		if err := provision(t, nc, config); err != nil {
			t.Fatal(err)
		}
		if _, err := l.append(room, 0, strings.Repeat("x", 2<<20)); !errors.Is(err, log.ErrUncertain) {
			t.Errorf("over NATS's size limit: %v", err)
		}
		pos := l.store(t, room, 0, "x")
		srv.Stop()
		if _, err := l.append(room, pos, "y"); !errors.Is(err, log.ErrUncertain) {
			t.Errorf("without a server: %v", err)
		}
		srv.Restart(t)
		eventually.OK(t, "tail after the restart", func() error {
			s, err := l.tail(room)
			if err == nil && s.Pos != pos && string(s.Data) != "y" { // uncertain: it may have been stored
				err = fmt.Errorf("it is %+v", s)
			}
			return err
		})
	})
}

func TestProvision(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Conn(t)
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	for range cap(errs) {
		wg.Go(func() { errs <- provision(t, nc, config) })
	}
	wg.Wait()
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Errorf("at the same time: %v", err)
		}
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream := func() jetstream.StreamConfig {
		s, err := js.Stream(t.Context(), "LOG_3")
		if err != nil {
			t.Fatal(err)
		}
		return s.CachedInfo().Config
	}
	made := stream()
	if len(made.Subjects) != 16 || made.MaxAge != 0 || made.MaxMsgsPerSubject > 0 || made.MaxBytes > 0 || made.MaxMsgs > 0 {
		t.Errorf("stream: %+v", made)
	}
	// What an operator may do to a stream.
	for name, c := range map[string]struct {
		change func(*jetstream.StreamConfig)
		wrong  bool
	}{
		"an older release's limit": {func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 5000 }, false},
		"no direct get":            {func(c *jetstream.StreamConfig) { c.AllowDirect = false }, false},
		"refuses when it is full":  {func(c *jetstream.StreamConfig) { c.MaxBytes, c.Discard = 1<<20, jetstream.DiscardNew }, false},
		"discards when it is full": {func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 20 }, true},
		"counts":                   {func(c *jetstream.StreamConfig) { c.MaxMsgs = 1000 }, true},
		"max age":                  {func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, true},
		"other subjects":           {func(c *jetstream.StreamConfig) { c.Subjects = c.Subjects[1:] }, true},
	} {
		changed := made
		c.change(&changed)
		if _, err := js.UpdateStream(t.Context(), changed); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := provision(t, nc, config); errors.Is(err, log.ErrMismatch) != c.wrong || !c.wrong && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if now := stream(); !c.wrong && (now.MaxMsgsPerSubject > 0 || !now.AllowDirect) {
			t.Errorf("%s: left as %+v", name, now)
		}
		if _, err := js.UpdateStream(t.Context(), made); err != nil {
			t.Fatalf("%s, back: %v", name, err)
		}
	}
	other := config
	other.Streams = 8
	if err := provision(t, nc, other); !errors.Is(err, log.ErrMismatch) {
		t.Errorf("other stream count: %v", err)
	}
}

// An installation that has outgrown one server: what exists is replicated, and messages
// stay.
func TestProvisionReplicatesWhatExists(t *testing.T) {
	t.Parallel()
	srv := natstest.StartCluster(t, 3)
	nc := srv.Conn(t)
	if err := provision(t, nc, config); err != nil {
		t.Fatal(err)
	}
	l, room := syncLog{open(t, nc)}, log.RoomOf("general", config.Streams)
	pos := l.store(t, room, 0, "x")
	more := config
	more.Replicas = 3
	if err := provision(t, nc, more); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"LOG_0", "LOG_3", "KV_chat_cfg"} {
		eventually.OK(t, "replicas of "+name, func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			s, err := js.Stream(ctx, name)
			if err == nil && s.CachedInfo().Config.Replicas != 3 {
				err = fmt.Errorf("there are %d", s.CachedInfo().Config.Replicas)
			}
			return err
		})
	}
	eventually.OK(t, "tail", func() error { // the new leader takes its time
		s, err := l.tail(room)
		if err == nil && s.Pos != pos {
			err = fmt.Errorf("it is %+v, not at %d", s, pos)
		}
		return err
	})
}
