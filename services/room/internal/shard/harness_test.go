package shard_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
	"github.com/confab-chat/confab/services/room/internal/shard"
	"github.com/confab-chat/confab/services/room/internal/shard/liveness"
	"github.com/confab-chat/confab/services/room/internal/shard/users/presence"
	"github.com/confab-chat/confab/services/room/internal/stats"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/shared/partition"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const streams = 4

// dialer is a server or a cluster.
type dialer interface {
	Conn(tb testing.TB, opts ...nats.Option) *nats.Conn
}

// provision makes the streams, as often as it takes: in a cluster, one that was just made
// may have no leader yet that answers.
func provision(tb testing.TB, nc *nats.Conn, replicas int) {
	tb.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	eventually.OK(tb, "provision", func() error {
		ctx, cancel := context.WithTimeout(tb.Context(), 5*time.Second)
		defer cancel()
		return log.Provision(ctx, js, log.Config{Streams: streams, Replicas: replicas})
	})
}

var epochs atomic.Uint64

// owner is an instance of the room service without leases: the test chooses its shards.
type owner struct {
	*shard.Server
	nc    *nats.Conn
	edges *liveness.Table
	count *stats.Counters
}

func newOwner(tb testing.TB, nc *nats.Conn, scope presence.Scope, shards ...int) *owner {
	tb.Helper()
	o := &owner{nc: nc, edges: liveness.NewTable(), count: stats.New(slog.New(slog.DiscardHandler))}
	o.Server = shard.NewServer(shard.Config{
		Conn: nc, Streams: streams, Scope: scope, Logger: slog.New(slog.DiscardHandler),
		Counters: o.count, Edges: o.edges, SweepEvery: time.Minute, IdleAfter: time.Minute,
	})
	o.acquire(tb, shards...)
	return o
}

// acquire makes o serve shards, until the test ends or release.
func (o *owner) acquire(tb testing.TB, shards ...int) {
	tb.Helper()
	tb.Cleanup(func() { o.release(shards) })
	for _, s := range shards {
		if err := o.Acquire(tb.Context(), partition.Lease{Shard: s, Epoch: epochs.Add(1)}); err != nil {
			tb.Fatal(err)
		}
	}
	if err := o.nc.Flush(); err != nil { // so that the next command finds it
		tb.Fatal(err)
	}
}

func (o *owner) release(shards []int) {
	var wg sync.WaitGroup
	for _, s := range shards {
		wg.Go(func() { o.Release(s) })
	}
	wg.Wait()
}

func allShards() []int {
	all := make([]int, subject.Shards)
	for i := range all {
		all[i] = i
	}
	return all
}

// edge sends commands as an edge does: it repeats a command until there is an answer. An edge
// gives up after 5 s, which a busy machine may take, so this one has the tests' patience.
type edge struct {
	nc     *nats.Conn
	origin wire.Origin
}

func newEdge(nc *nats.Conn, id string) *edge {
	return &edge{nc, wire.Origin{Edge: id, Gen: 1}}
}

// ask sends cmd until there is an answer, and decodes it into reply. It returns false if there
// is none in time. It may be called on any goroutine.
func (e *edge) ask(subj string, cmd, reply wire.Message) bool {
	data := wire.Marshal(cmd)
	var answer []byte
	err := eventually.Retry(func() error {
		m, err := e.nc.Request(subj, data, 250*time.Millisecond)
		if err == nil {
			answer = m.Data
		}
		return err
	})
	return err == nil && wire.Unmarshal(answer, reply) == nil
}

// event has a client event carried out, which must succeed, and decodes the reply object.
func (e *edge) event(tb testing.TB, user wire.User, name, payload string, success any) {
	tb.Helper()
	var target struct{ RoomID string }
	if err := json.Unmarshal([]byte(payload), &target); err != nil {
		tb.Fatal(err)
	}
	subj := subject.UserCommand(subject.Shard(user.ID), subject.UserOp(name))
	if target.RoomID != "" {
		subj = subject.RoomCommand(subject.Shard(target.RoomID), subject.RoomOp(name))
	}
	var m wire.Result
	if !e.ask(subj, &wire.Command{User: user, Payload: []byte(payload)}, &m) || m.Code != "" {
		tb.Fatalf("%s %s: %+v", name, payload, m.Fault)
	}
	if err := json.Unmarshal(m.JSON, success); err != nil {
		tb.Fatalf("%s: %s: %v", name, m.JSON, err)
	}
}

func (e *edge) room(op subject.RoomOp, room string, cmd, reply wire.Message) bool {
	return e.ask(subject.RoomCommand(subject.Shard(room), op), cmd, reply)
}

func (e *edge) join(tb testing.TB, room, user string) *wire.Joined {
	tb.Helper()
	var j wire.Joined
	if !e.room(subject.OpJoin, room, &wire.Join{Origin: e.origin, Room: room, User: wire.User{ID: user, Name: "N " + user}}, &j) {
		tb.Fatalf("join %s: no answer", room)
	}
	return &j
}

// send may be called from any goroutine; nil: no answer.
func (e *edge) send(room, user, cid, content string) *wire.Sent {
	var s wire.Sent
	ok := e.room(subject.OpSend, room, &wire.Send{
		Origin: e.origin, Room: room, User: wire.User{ID: user, Name: "N " + user},
		ClientID: cid, Type: "TEXT", Content: content,
	}, &s)
	if !ok {
		return nil
	}
	return &s
}

// broadcasts collects what is broadcast in a room.
func (e *edge) broadcasts(tb testing.TB, room string) chan *wire.Broadcast {
	tb.Helper()
	token := subject.Token(room)
	got := make(chan *wire.Broadcast, 10_000)
	sub, err := e.nc.Subscribe(subject.RoomBroadcast(subject.ShardOf(token), token), func(m *nats.Msg) {
		b := new(wire.Broadcast)
		if wire.Unmarshal(m.Data, b) == nil {
			got <- b
		}
	})
	if err != nil {
		tb.Fatal(err)
	}
	if err := e.nc.Flush(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = sub.Unsubscribe() })
	return got
}

// next is the next broadcast that pick wants.
func next(tb testing.TB, got chan *wire.Broadcast, what string, pick func(*wire.Broadcast) bool) *wire.Broadcast {
	tb.Helper()
	for {
		if b := eventually.Receive(tb, what, got); pick(b) {
			return b
		}
	}
}

func named(event string) func(*wire.Broadcast) bool {
	return func(b *wire.Broadcast) bool { return b.Event == event }
}

func start(tb testing.TB) (*edge, *owner) {
	tb.Helper()
	return startOn(tb, natstest.Start(tb))
}

func startOn(tb testing.TB, srv dialer) (*edge, *owner) {
	tb.Helper()
	nc := srv.Conn(tb)
	provision(tb, nc, 1)
	o := newOwner(tb, nc, presence.ScopeAll, allShards()...)
	return newEdge(srv.Conn(tb), "e1"), o
}

// shardsOf is every shard that one of the rooms is in, once.
func shardsOf(rooms []string) []int {
	var shards []int
	for _, r := range rooms {
		if s := subject.Shard(r); !slices.Contains(shards, s) {
			shards = append(shards, s)
		}
	}
	return shards
}
