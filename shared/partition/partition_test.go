package partition_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/shared/partition"
)

func TestOneInstanceTakesEverything(t *testing.T) {
	virtual(t, func(t *testing.T, srv *natstest.Server, rec *recorder) {
		a := rec.start(options(srv.Conn(t), "a"))
		rec.waitShared("a")

		eventually.True(t, "the stats", func() bool { return len(a.Held()) == shards })
		for shard, held := range a.Held() {
			if held.Shard != shard || held.Epoch == 0 || held.Epoch >= 1<<53 {
				t.Errorf("lease %d is %+v", shard, held)
			}
			if got := a.Owner(shard); got != (partition.Owner{Instance: "a", Epoch: held.Epoch}) {
				t.Errorf("owner of shard %d is %+v, held %+v", shard, got, held)
			}
		}
		if live := a.Live(); !slices.Equal(live, []string{"a"}) {
			t.Errorf("live: %v", live)
		}
		if got := a.Owner(shards) == (partition.Owner{}) && a.Owner(-1) == (partition.Owner{}); !got {
			t.Error("a shard that does not exist has an owner")
		}
		if err := a.Run(t.Context()); !errors.Is(err, partition.ErrRan) {
			t.Errorf("second Run: %v", err)
		}

		lease := a.Held()[0]
		if now := time.Now(); !lease.Valid(now) || lease.Valid(now.Add(partition.DefaultTTL)) {
			t.Error("a lease is valid until a TTL after its last renewal")
		}

		a.stop()
		if a.err != nil {
			t.Errorf("Run: %v", a.err)
		}
		if n := rec.counts(); len(n) != 0 {
			t.Errorf("served after Run: %v", n)
		}
		if len(a.Held()) != 0 {
			t.Errorf("held after Run: %v", a.Held())
		}
	})
}

// Renewals keep the leases over several TTLs, with the epochs they began with.
func TestLeasesAreKept(t *testing.T) {
	virtual(t, func(t *testing.T, srv *natstest.Server, rec *recorder) {
		rec.start(options(srv.Conn(t), "a"))
		rec.waitShared("a")
		waitRenewals(t, srv, 0, 36) // ten TTLs
		rec.mu.Lock()
		defer rec.mu.Unlock()
		if rec.acquired != shards {
			t.Errorf("%d acquisitions of %d shards", rec.acquired, shards)
		}
	})
}

// waitRenewals returns when the lease of a shard has been renewed n times more.
func waitRenewals(tb testing.TB, srv *natstest.Server, shard, n int) {
	tb.Helper()
	nc := srv.Conn(tb)
	sub, err := nc.SubscribeSync(fmt.Sprint("$KV.chat_own.room.", shard))
	if err != nil {
		tb.Fatal(err)
	}
	for n > 0 {
		m, err := sub.NextMsg(eventually.Patience())
		if err != nil {
			tb.Fatalf("%d renewals missing: %v", n, err)
		}
		if !strings.HasPrefix(m.Reply, "$JS.ACK.") { // else a watch is shown what was stored
			n--
		}
	}
}

func TestInstancesShare(t *testing.T) {
	virtual(t, func(t *testing.T, srv *natstest.Server, rec *recorder) {
		a := rec.start(options(srv.Conn(t), "a"))
		rec.waitShared("a")
		b := rec.start(options(srv.Conn(t), "b"))
		rec.waitShared("a", "b")
		c := rec.start(options(srv.Conn(t), "c"))
		rec.waitShared("a", "b", "c")
		if rec.overlaps > 0 {
			t.Errorf("%d shards were served twice during hand-overs", rec.overlaps)
		}
		// 32 move to b, then 21 to c, and nothing else.
		if want := shards + 32 + 21; rec.acquired != want {
			t.Errorf("%d acquisitions, want %d", rec.acquired, want)
		}
		eventually.True(t, "all to agree on the owners", func() bool {
			for shard := range shards {
				o := a.Owner(shard)
				if o.Instance == "" || o != b.Owner(shard) || o != c.Owner(shard) {
					return false
				}
			}
			return slices.Equal(a.Live(), []string{"a", "b", "c"})
		})
		// A graceful stop hands the shards over at once.
		begin := time.Now()
		a.stop()
		rec.waitShared("b", "c")
		if took := time.Since(begin); took > testRenew {
			t.Errorf("b and c have everything after %v, want less than a renewal", took)
		}
		if rec.overlaps > 0 {
			t.Errorf("%d shards were served twice", rec.overlaps)
		}
	})
}

func TestGroupsDoNotMeet(t *testing.T) {
	virtual(t, func(t *testing.T, srv *natstest.Server, rooms *recorder) {
		limits := newRecorder(t)
		rooms.start(options(srv.Conn(t), "a"))
		o := options(srv.Conn(t), "a")
		o.Group = "rl"
		limits.start(o)
		rooms.waitShared("a")
		limits.waitShared("a")
	})
}

// A slow Release delays only its own shard, whose lease is renewed meanwhile.
func TestStopWaitsForRelease(t *testing.T) {
	virtual(t, func(t *testing.T, srv *natstest.Server, rec *recorder) {
		h := &slowRelease{holder: holder{recorder: rec, name: "a"}, shard: 5, begun: make(chan struct{}), end: make(chan struct{})}
		m, err := partition.New(options(srv.Conn(t), "a"), h)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		rec.waitShared("a")
		b := rec.start(options(srv.Conn(t), "b"))
		rec.wait("b to come", func() bool { return rec.counts()["b"] > 0 })
		cancel()
		<-h.begun
		rec.wait("b to have the rest", func() bool { return rec.counts()["b"] == shards-1 })
		waitRenewals(t, srv, 5, 20) // six TTLs
		if got := b.Owner(5).Instance; got != "a" {
			t.Errorf("shard 5 is owned by %q while a releases it", got)
		}
		if v, _ := h.contexts.Load(5); v.(context.Context).Err() != nil {
			t.Error("the lease's context ended while it was renewed")
		}
		close(h.end)
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		rec.waitShared("b")
		if v, _ := h.contexts.Load(5); v.(context.Context).Err() == nil {
			t.Error("the lease's context outlives the lease")
		}
	})
}

type slowRelease struct {
	holder
	shard      int
	begun, end chan struct{}
}

func (h *slowRelease) Release(shard int) {
	if shard == h.shard {
		close(h.begun)
		<-h.end
	}
	h.holder.Release(shard)
}

// What an instance cannot serve is served by another one.
func TestAcquireFails(t *testing.T) {
	virtual(t, func(t *testing.T, srv *natstest.Server, rec *recorder) {
		h := &holder{recorder: rec, name: "a", err: func(le partition.Lease) error {
			if le.Shard%2 == 0 {
				return errors.New("cannot")
			}
			return nil
		}}
		rec.startHolder(options(srv.Conn(t), "a"), h)
		rec.wait("a to serve what it can", func() bool { return rec.counts()["a"] == shards/2 })
		rec.start(options(srv.Conn(t), "b"))
		rec.waitShared("a", "b")
	})
}

func TestNatsAbsentAtStart(t *testing.T) {
	virtual(t, func(t *testing.T, srv *natstest.Server, rec *recorder) {
		srv.Stop()
		a := rec.start(options(srv.Conn(t, nats.RetryOnFailedConnect(true)), "a"))
		b := rec.start(options(srv.Conn(t, nats.RetryOnFailedConnect(true)), "b"))
		b.stop() // although there is no instance to hand over to
		if b.err != nil {
			t.Errorf("Run: %v", b.err)
		}
		srv.Restart(t)
		rec.waitShared("a")
		if len(a.Live()) != 1 {
			t.Errorf("live: %v", a.Live())
		}
	})
}

func TestConnectionClosedForGood(t *testing.T) {
	virtual(t, func(t *testing.T, srv *natstest.Server, rec *recorder) {
		nc := srv.Conn(t)
		a := rec.start(options(nc, "a"))
		rec.waitShared("a")
		nc.Close()
		<-a.done
		if !errors.Is(a.err, nats.ErrConnectionClosed) {
			t.Errorf("Run: %v", a.err)
		}
		if n := rec.counts(); len(n) != 0 {
			t.Errorf("served after Run: %v", n)
		}
	})
}

// The bucket can be read with the usual tools.
func TestBucketIsAKeyValueBucket(t *testing.T) {
	virtual(t, func(t *testing.T, srv *natstest.Server, rec *recorder) {
		nc := srv.Conn(t)
		a := rec.start(options(nc, "a"))
		rec.waitShared("a")
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		kv, err := js.KeyValue(t.Context(), "chat_own")
		if err != nil {
			t.Fatal(err)
		}
		e, err := kv.Get(t.Context(), "room.7")
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("room.7 = %s", e.Value())
		a.stop()
		keys, err := kv.Keys(t.Context())
		if !errors.Is(err, jetstream.ErrNoKeysFound) {
			t.Errorf("keys after a graceful stop: %v, %v", keys, err)
		}
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Conn(t)
	h := &holder{}
	for name, change := range map[string]func(*partition.Options){
		"no connection":    func(o *partition.Options) { o.Conn = nil },
		"group":            func(o *partition.Options) { o.Group = "a.b" },
		"no group":         func(o *partition.Options) { o.Group = "" },
		"instance":         func(o *partition.Options) { o.Instance = "a>" },
		"shards":           func(o *partition.Options) { o.Shards = -1 },
		"fraction of TTL":  func(o *partition.Options) { o.TTL = 1500 * time.Millisecond },
		"short TTL":        func(o *partition.Options) { o.TTL = time.Millisecond },
		"renewal too late": func(o *partition.Options) { o.Renew = 600 * time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(nc, "a")
			change(&o)
			if _, err := partition.New(o, h); !errors.Is(err, partition.ErrOptions) {
				t.Errorf("New: %v", err)
			}
		})
	}
	if _, err := partition.New(partition.Options{Conn: nc, Group: "room", Instance: "a"}, h); err != nil {
		t.Errorf("defaults: %v", err)
	}
}
