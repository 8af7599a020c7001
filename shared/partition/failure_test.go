package partition_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/shared/partition"
)

// The connection of a is cut without a word, as by kill -9 or a partition. Its leases
// have ended before others are let in, whenever it comes to release them: that is in
// time on an idle machine, and cannot be asserted on a busy one.
func TestCrash(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	gate := srv.Gate(t)
	l := newLedger(t)
	a := l.start(options(gate.Conn(t), "a"))
	l.waitShared("a")
	l.start(options(srv.Conn(t), "b"))
	l.waitShared("a", "b")
	begin := time.Now()
	gate.Cut()
	l.wait("b to have everything", func() bool { return l.counts()["b"] == shards })
	t.Logf("crash to the survivor serving everything: %v with TTL 1s", time.Since(begin))
	l.waitShared("b") // a released on its own
	a.holder.contexts.Range(func(shard, ctx any) bool {
		if ctx.(context.Context).Err() == nil {
			t.Errorf("shard %v: the context of a lost lease goes on", shard)
		}
		return true
	})
	l.mu.Lock()
	t.Logf("%d shards were released late", l.overlaps)
	l.mu.Unlock()
	gate.Open()
	l.waitShared("a", "b")
}

// Nothing breaks and nothing arrives: only the missing answers tell.
func TestBlackhole(t *testing.T) {
	t.Parallel()
	for name, way := range map[string]natstest.Direction{"both": natstest.Both, "down": natstest.Down, "up": natstest.Up} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := natstest.Start(t)
			gate := srv.Gate(t)
			l := newLedger(t)
			l.start(options(gate.Conn(t), "a"))
			l.waitShared("a")
			gate.Blackhole(way)
			l.wait("a to release", func() bool { return len(l.counts()) == 0 })
			gate.Open()
			l.waitShared("a")
		})
	}
}

// patient options are for tests that count acquisitions: no lease may expire
// because the box is busy.
func patient(o partition.Options) partition.Options {
	o.TTL = 10 * time.Second
	return o
}

// steady options are for tests in which leases last for longer than their TTL: a busy
// box may keep the holder waiting for most of it.
func steady(o partition.Options) partition.Options {
	o.TTL = 5 * time.Second
	return o
}

// Short interruptions cost nothing.
func TestReconnect(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	gate := srv.Gate(t)
	l := newLedger(t)
	l.start(patient(options(gate.Conn(t), "a")))
	l.waitShared("a")
	for range 5 {
		gate.Break()
		tap := srv.Tap(t)
		tap.Wait(t, "$KV.chat_own.room.*", 2*shards)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.acquired != shards {
		t.Errorf("%d acquisitions of %d shards", l.acquired, shards)
	}
}

func TestBucketLost(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	l := newLedger(t)
	l.start(patient(options(srv.Conn(t), "a")))
	l.waitShared("a")
	l.start(patient(options(srv.Conn(t), "b")))
	l.waitShared("a", "b")
	before := l.epochsNow()
	js, err := jetstream.New(srv.Conn(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), "KV_chat_own"); err != nil {
		t.Fatal(err)
	}
	l.waitNewEpochs(before)
	l.waitShared("a", "b")
	// 64 at first, 32 handed over to b, and each once again where it was.
	if l.acquired != 2*shards+32 || l.overlaps > 0 {
		t.Errorf("%d acquisitions, %d overlaps: a lost bucket moves shards", l.acquired, l.overlaps)
	}
}

func TestBucketPurged(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	l := newLedger(t)
	l.start(patient(options(srv.Conn(t), "a")))
	l.start(patient(options(srv.Conn(t), "b")))
	l.waitShared("a", "b")
	before := l.epochsNow()
	js, err := jetstream.New(srv.Conn(t))
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "KV_chat_own")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.waitNewEpochs(before)
	l.waitShared("a", "b")
	if l.overlaps > 0 {
		t.Errorf("%d shards were served twice", l.overlaps)
	}
}

func TestServerRestart(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	l := newLedger(t)
	l.start(patient(options(srv.Conn(t), "a")))
	l.waitShared("a")
	l.start(patient(options(srv.Conn(t), "b")))
	l.waitShared("a", "b")
	for range 2 {
		before := l.epochsNow()
		begin := time.Now()
		srv.Restart(t) // the bucket is gone with its memory
		l.waitNewEpochs(before)
		l.waitShared("a", "b")
		t.Logf("restart to serving again: %v", time.Since(begin))
	}
}

// A server that is away for longer than the TTL, then comes back empty.
func TestLongOutage(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	l := newLedger(t)
	l.start(options(srv.Conn(t), "a"))
	l.waitShared("a")
	srv.Stop()
	l.wait("a to release", func() bool { return len(l.counts()) == 0 })
	srv.Restart(t)
	l.waitShared("a")
}

// waitNewEpochs returns when every shard is served under a later lease.
func (l *ledger) waitNewEpochs(before map[int]uint64) {
	l.tb.Helper()
	l.wait("new leases", func() bool {
		for shard := range shards {
			if l.epochs[shard] <= before[shard] {
				return false
			}
		}
		return true
	})
}

// Somebody made the bucket without what leases need: that is said, and it heals when it is put right.
func TestUnusableBucket(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc := srv.Conn(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "chat_own"}); err != nil {
		t.Fatal(err)
	}
	l := newLedger(t)
	o := options(nc, "a")
	logs := newLogLines()
	o.Logger = logs.logger()
	l.start(o)
	eventually.True(t, "a warning", func() bool { return logs.count("shard leases unavailable") > 0 })
	_, err = js.UpdateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "chat_own", LimitMarkerTTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	l.waitShared("a")
	if n := logs.count("shard leases unavailable"); n != 1 {
		t.Errorf("warned %d times", n)
	}
	if n := logs.count("shard leases available"); n != 1 {
		t.Errorf("%d times available", n)
	}
}

// Whoever provisions the bucket with the usual tools cannot give it a first revision.
func TestProvisionedBucketIsMovedForward(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc := srv.Conn(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	cfg := jetstream.KeyValueConfig{Bucket: "chat_own", LimitMarkerTTL: time.Minute, Storage: jetstream.MemoryStorage}
	if _, err := js.CreateKeyValue(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	l := newLedger(t)
	l.start(options(nc, "a"))
	l.waitShared("a")
	if now := uint64(time.Now().Add(-time.Hour).UnixMicro()); l.epochsNow()[0] < now {
		t.Errorf("epoch %d, want at least %d", l.epochsNow()[0], now)
	}
}
