package endpoint_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/ratelimit/internal/endpoint"
	"github.com/confab-chat/confab/services/ratelimit/internal/policy"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/shared/partition"
)

var limits = policy.Limits{Messages: 3, Joins: 2, Typing: 0, Resume: 100}

// served is a running endpoint and its connection.
type served struct {
	*endpoint.Endpoint
	nc *nats.Conn
}

// start runs an endpoint on a server of its own, without any shard, until the
// test ends.
func start(tb testing.TB, limits policy.Limits) (served, *natstest.Server) {
	tb.Helper()
	server := natstest.Start(tb)
	return run(tb, server, limits), server
}

func run(tb testing.TB, server *natstest.Server, limits policy.Limits) served {
	tb.Helper()
	nc := server.Conn(tb)
	e, err := endpoint.New(nc, limits, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := e.Run(ctx); err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(func() { stop(); wg.Wait() })
	return served{e, nc}
}

// acquire returns when the server knows the owner of shard.
func (s served) acquire(tb testing.TB, shard int) {
	tb.Helper()
	if err := s.Acquire(context.Background(), partition.Lease{Shard: shard}); err != nil {
		tb.Fatal(err)
	}
	s.flush(tb)
}

// release returns when the server knows that shard has no owner.
func (s served) release(tb testing.TB, shard int) {
	tb.Helper()
	s.Release(shard)
	s.flush(tb)
}

func (s served) flush(tb testing.TB) {
	tb.Helper()
	if err := s.nc.Flush(); err != nil {
		tb.Fatal(err)
	}
}

// ask sends a request to the owner of shard and decodes the answer.
func ask(tb testing.TB, nc *nats.Conn, shard int, request []byte) wire.Taken {
	tb.Helper()
	m, err := nc.Request(subject.Limit(shard, subject.OpTake), request, 5*time.Second)
	if err != nil {
		tb.Fatal(err)
	}
	var taken wire.Taken
	if err := wire.Unmarshal(m.Data, &taken); err != nil {
		tb.Fatal(err)
	}
	return taken
}

func take(tb testing.TB, nc *nats.Conn, user string, action wire.Action) wire.Taken {
	tb.Helper()
	return ask(tb, nc, subject.Shard(user), wire.Marshal(&wire.Take{User: user, Action: action}))
}

func TestLimit(t *testing.T) {
	t.Parallel()
	e, server := start(t, limits)
	e.acquire(t, subject.Shard("ann"))
	nc := server.Conn(t)
	began := time.Now()
	for i := range 5 {
		got := take(t, nc, "ann", wire.ActionMessage)
		if got.Code != "" || got.OK != (i < 3) {
			t.Fatalf("message %d: %+v", i+1, got)
		}
		if got.OK {
			if got.RetryAfterMs != 0 {
				t.Errorf("granted, and retry after %d ms", got.RetryAfterMs)
			}
			continue
		}
		elapsed := time.Since(began).Milliseconds() + 1
		if ms := int64(got.RetryAfterMs); ms > 60_000 || ms < 60_000-elapsed {
			t.Errorf("retry after %d ms, %d ms after the first grant", ms, elapsed)
		}
	}
	if got := take(t, nc, "ann", wire.ActionJoin); !got.OK {
		t.Errorf("join: %+v; each action has its own limit", got)
	}
	for range 500 {
		if got := take(t, nc, "ann", wire.ActionTyping); !got.OK {
			t.Fatalf("typing: %+v; 0 is unlimited", got)
		}
	}
}

func TestUsersAreApart(t *testing.T) {
	t.Parallel()
	e, server := start(t, limits)
	shard := subject.Shard("ann")
	e.acquire(t, shard)
	nc := server.Conn(t)
	for i := range 4 {
		take(t, nc, "ann", wire.ActionMessage)
		// Others of the same shard, found by looking.
		for n := 0; ; n++ {
			if other := fmt.Sprint("user", i, "-", n); subject.Shard(other) == shard {
				if got := take(t, nc, other, wire.ActionMessage); !got.OK {
					t.Errorf("%s: %+v", other, got)
				}
				break
			}
		}
	}
}

// Never more than the limit, however many ask at once.
func TestRush(t *testing.T) {
	t.Parallel()
	e, server := start(t, limits)
	e.acquire(t, subject.Shard("ann"))
	var granted atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		nc := server.Conn(t)
		for range 50 {
			wg.Go(func() {
				if take(t, nc, "ann", wire.ActionMessage).OK {
					granted.Add(1)
				}
			})
		}
	}
	wg.Wait()
	if got := granted.Load(); got != int64(limits.Messages) {
		t.Errorf("%d of 200 granted, want %d", got, limits.Messages)
	}
	for _, d := range e.Decisions() {
		if d.Action == "message" && (d.Granted != 3 || d.Denied != 197) {
			t.Errorf("counted %+v, want 3 and 197", d)
		}
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	e, server := start(t, limits)
	e.acquire(t, 7)
	nc := server.Conn(t)
	tests := map[string][]byte{
		"nothing":        nil,
		"no protobuf":    []byte("{}"),
		"cut off":        {1<<3 | 2, 9, 'x'},
		"no user":        wire.Marshal(&wire.Take{Action: wire.ActionMessage}),
		"no action":      wire.Marshal(&wire.Take{User: "ann"}),
		"unknown action": wire.Marshal(&wire.Take{User: "ann", Action: 99}),
		"huge user":      wire.Marshal(&wire.Take{User: strings.Repeat("a", 129), Action: wire.ActionMessage}),
	}
	for name, request := range tests {
		if got := ask(t, nc, 7, request); got.Code != string(code.BadRequest) || got.OK || got.Message == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := e.Malformed(); got != uint64(len(tests)) {
		t.Errorf("%d counted as malformed, want %d", got, len(tests))
	}
	longest := strings.Repeat("a", 128)
	if got := ask(t, nc, 7, wire.Marshal(&wire.Take{User: longest, Action: wire.ActionMessage})); !got.OK {
		t.Errorf("user of 128 bytes: %+v", got)
	}
	// Without a reply subject there is no answer; the endpoint continues.
	if err := nc.Publish(subject.Limit(7, subject.OpTake), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, nc, 7, tests["no user"]); got.Code == "" {
		t.Errorf("%+v", got)
	}
}

func TestAcquireAndRelease(t *testing.T) {
	t.Parallel()
	e, server := start(t, limits)
	nc := server.Conn(t)
	shard := subject.Shard("ann")
	request := wire.Marshal(&wire.Take{User: "ann", Action: wire.ActionMessage})
	nobody := func() {
		t.Helper()
		_, err := nc.Request(subject.Limit(shard, subject.OpTake), request, 5*time.Second)
		if !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("asked for a shard not owned: %v", err)
		}
	}
	nobody()
	e.acquire(t, shard)
	e.acquire(t, (shard+1)%subject.Shards)
	for range 4 {
		take(t, nc, "ann", wire.ActionMessage)
	}
	e.release(t, (shard+1)%subject.Shards)
	if load := e.Load(); len(load.Shards) != 1 || load.Shards[0] != shard || load.Keys != 1 {
		t.Errorf("load %+v, want one key in shard %d", load, shard)
	}
	e.release(t, shard)
	e.release(t, shard) // once more does no harm
	nobody()
	e.acquire(t, shard)
	if got := take(t, nc, "ann", wire.ActionMessage); !got.OK {
		t.Errorf("after a new lease: %+v; the log of the old one is gone", got)
	}
}

// Two instances that take each other for the owner share the requests; each
// keeps the limit.
func TestTwoOwners(t *testing.T) {
	t.Parallel()
	one, server := start(t, limits)
	other := run(t, server, limits)
	one.acquire(t, subject.Shard("ann"))
	other.acquire(t, subject.Shard("ann"))
	nc, granted := server.Conn(t), 0
	for range 200 {
		if take(t, nc, "ann", wire.ActionMessage).OK {
			granted++
		}
	}
	if granted < limits.Messages || granted > 2*limits.Messages {
		t.Errorf("%d granted, want %d to %d", granted, limits.Messages, 2*limits.Messages)
	}
}

func TestStopped(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	e, err := endpoint.New(server.Conn(t), limits, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := e.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := e.Acquire(t.Context(), partition.Lease{Shard: 1}); !errors.Is(err, endpoint.ErrClosed) {
		t.Errorf("acquire after the end: %v", err)
	}
	e.Release(1)
}

// Every action that has a limit is counted: wire and policy may grow.
func TestEveryActionIsCounted(t *testing.T) {
	t.Parallel()
	e, server := start(t, limits)
	e.acquire(t, subject.Shard("ann"))
	nc, known := server.Conn(t), 0
	for action := wire.Action(1); action < 64; action++ {
		if _, ok := limits.Of(action); ok {
			known++
			take(t, nc, "ann", action)
		}
	}
	for _, d := range e.Decisions() {
		if d.Granted+d.Denied != 1 {
			t.Errorf("%+v, want one decision", d)
		}
	}
	if n := len(e.Decisions()); n != known {
		t.Errorf("%d actions counted of %d", n, known)
	}
}

// BenchmarkPermits asks for permits of a thousand users over one connection,
// with so many in flight; client, server and endpoint share the processors.
func BenchmarkPermits(b *testing.B) {
	for _, inFlight := range []int{1, 64, 512} {
		b.Run(fmt.Sprint(inFlight), func(b *testing.B) {
			e, server := start(b, policy.Limits{Messages: 1_000_000})
			for shard := range subject.Shards {
				e.acquire(b, shard)
			}
			nc := server.Conn(b)
			replies := make(chan *nats.Msg, inFlight)
			inbox := nc.NewInbox()
			if _, err := nc.ChanSubscribe(inbox, replies); err != nil {
				b.Fatal(err)
			}
			subjects, requests := make([]string, 1000), make([][]byte, 1000)
			for i := range subjects {
				user := fmt.Sprint("user", i)
				subjects[i] = subject.Limit(subject.Shard(user), subject.OpTake)
				requests[i] = wire.Marshal(&wire.Take{User: user, Action: wire.ActionMessage})
			}
			if err := nc.Flush(); err != nil {
				b.Fatal(err)
			}
			var last *nats.Msg
			b.ReportAllocs()
			b.ResetTimer()
			for sent, got := 0, 0; got < b.N; {
				for sent < b.N && sent-got < inFlight {
					if err := nc.PublishRequest(subjects[sent%1000], inbox, requests[sent%1000]); err != nil {
						b.Fatal(err)
					}
					sent++
				}
				last = <-replies
				got++
			}
			b.StopTimer()
			// Only permits count: neither refusals nor "no responders".
			var taken wire.Taken
			if err := wire.Unmarshal(last.Data, &taken); err != nil || !taken.OK || len(last.Header) > 0 {
				b.Fatalf("last reply %+v, header %v: %v", taken, last.Header, err)
			}
			var granted uint64
			for _, d := range e.Decisions() {
				granted += d.Granted
			}
			if granted != uint64(b.N) {
				b.Fatalf("%d granted of %d", granted, b.N)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "permits/s")
		})
	}
}
