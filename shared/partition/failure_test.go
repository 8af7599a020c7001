package partition_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
)

// crashBound is how long shards may be without an owner after a crash: the TTL, and what it
// takes to notice its end.
const crashBound = testTTL + 200*time.Millisecond

// The connection of a is cut, as by kill -9 or a network partition. Its leases end, a releases
// them, and b takes over right afterwards.
func TestCrash(t *testing.T) {
	virtual(t, func(t *testing.T, srv *natstest.Server, rec *recorder) {
		gate := srv.Gate(t)
		a := rec.start(options(gate.Conn(t), "a"))
		rec.waitShared("a")
		rec.start(options(srv.Conn(t), "b"))
		rec.waitShared("a", "b")
		begin := time.Now()
		gate.Cut()
		rec.wait("b to have everything", func() bool { return rec.counts()["b"] == shards })
		if took := time.Since(begin); took > crashBound {
			t.Errorf("b has everything after %v, want at most %v", took, crashBound)
		}
		rec.waitShared("b") // a has released its shards without an answer from NATS
		a.holder.contexts.Range(func(shard, ctx any) bool {
			if ctx.(context.Context).Err() == nil {
				t.Errorf("shard %v: the context of a lost lease goes on", shard)
			}
			return true
		})
		if rec.overlaps > 0 {
			t.Errorf("%d shards were served twice", rec.overlaps)
		}
		gate.Open()
		rec.waitShared("a", "b")
	})
}

// The connection stays open, but nothing arrives. A missing answer is the only sign of that.
func TestBlackhole(t *testing.T) {
	for name, way := range map[string]natstest.Direction{"both": natstest.Both, "down": natstest.Down, "up": natstest.Up} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, srv *natstest.Server, rec *recorder) {
				gate := srv.Gate(t)
				rec.start(options(gate.Conn(t), "a"))
				rec.waitShared("a")
				gate.Blackhole(way)
				rec.wait("a to release", func() bool { return len(rec.counts()) == 0 })
				gate.Open()
				rec.waitShared("a")
			})
		})
	}
}

// Every lease outlives short interruptions.
func TestReconnect(t *testing.T) {
	virtual(t, func(t *testing.T, srv *natstest.Server, rec *recorder) {
		gate := srv.Gate(t)
		rec.start(options(gate.Conn(t), "a"))
		rec.waitShared("a")
		for range 5 {
			gate.Break()
			tap := srv.Tap(t)
			tap.Wait(t, "$KV.chat_own.room.*", 2*shards)
		}
		rec.mu.Lock()
		defer rec.mu.Unlock()
		if rec.acquired != shards {
			t.Errorf("%d acquisitions of %d shards", rec.acquired, shards)
		}
	})
}

func TestBucketLost(t *testing.T) {
	virtual(t, func(t *testing.T, srv *natstest.Server, rec *recorder) {
		rec.start(options(srv.Conn(t), "a"))
		rec.waitShared("a")
		rec.start(options(srv.Conn(t), "b"))
		rec.waitShared("a", "b")
		before := rec.epochsNow()
		js, err := jetstream.New(srv.Conn(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := js.DeleteStream(t.Context(), "KV_chat_own"); err != nil {
			t.Fatal(err)
		}
		rec.waitNewEpochs(before)
		rec.waitShared("a", "b")
		// 64 at first, 32 handed over to b, and each once again where it was.
		if rec.acquired != 2*shards+32 || rec.overlaps > 0 {
			t.Errorf("%d acquisitions, %d overlaps: a lost bucket moves shards", rec.acquired, rec.overlaps)
		}
	})
}

func TestBucketPurged(t *testing.T) {
	virtual(t, func(t *testing.T, srv *natstest.Server, rec *recorder) {
		rec.start(options(srv.Conn(t), "a"))
		rec.start(options(srv.Conn(t), "b"))
		rec.waitShared("a", "b")
		before := rec.epochsNow()
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
		rec.waitNewEpochs(before)
		rec.waitShared("a", "b")
		if rec.overlaps > 0 {
			t.Errorf("%d shards were served twice", rec.overlaps)
		}
	})
}

func TestServerRestart(t *testing.T) {
	virtual(t, func(t *testing.T, srv *natstest.Server, rec *recorder) {
		rec.start(options(srv.Conn(t), "a"))
		rec.waitShared("a")
		rec.start(options(srv.Conn(t), "b"))
		rec.waitShared("a", "b")
		for range 2 {
			before := rec.epochsNow()
			srv.Restart(t) // the bucket is in its memory
			rec.waitNewEpochs(before)
			rec.waitShared("a", "b")
		}
	})
}

// A server is away for longer than the TTL, and is empty when it starts again.
func TestLongOutage(t *testing.T) {
	virtual(t, func(t *testing.T, srv *natstest.Server, rec *recorder) {
		rec.start(options(srv.Conn(t), "a"))
		rec.waitShared("a")
		srv.Stop()
		rec.wait("a to release", func() bool { return len(rec.counts()) == 0 })
		srv.Restart(t)
		rec.waitShared("a")
	})
}

// waitNewEpochs returns when every shard is served under a later lease.
func (rec *recorder) waitNewEpochs(before map[int]uint64) {
	rec.tb.Helper()
	rec.wait("new leases", func() bool {
		for shard := range shards {
			if rec.epochs[shard] <= before[shard] {
				return false
			}
		}
		return true
	})
}

// An operator created the bucket without the marker TTL, which leases need. An instance logs a
// warning, and works once the operator has corrected it.
func TestUnusableBucket(t *testing.T) {
	virtual(t, func(t *testing.T, srv *natstest.Server, rec *recorder) {
		nc := srv.Conn(t)
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "chat_own"}); err != nil {
			t.Fatal(err)
		}
		o := options(nc, "a")
		logs := newLogLines()
		o.Logger = logs.logger()
		rec.start(o)
		eventually.True(t, "a warning", func() bool { return logs.count("shard leases unavailable") > 0 })
		_, err = js.UpdateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "chat_own", LimitMarkerTTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		rec.waitShared("a")
		if n := logs.count("shard leases unavailable"); n != 1 {
			t.Errorf("warned %d times", n)
		}
		if n := logs.count("shard leases available"); n != 1 {
			t.Errorf("%d times available", n)
		}
	})
}

// The usual tools cannot give the bucket that they create a first revision.
func TestProvisionedBucketIsMovedForward(t *testing.T) {
	virtual(t, func(t *testing.T, srv *natstest.Server, rec *recorder) {
		nc := srv.Conn(t)
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		cfg := jetstream.KeyValueConfig{Bucket: "chat_own", LimitMarkerTTL: time.Minute, Storage: jetstream.MemoryStorage}
		if _, err := js.CreateKeyValue(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		rec.start(options(nc, "a"))
		rec.waitShared("a")
		if now := uint64(time.Now().Add(-time.Hour).UnixMicro()); rec.epochsNow()[0] < now {
			t.Errorf("epoch %d, want at least %d", rec.epochsNow()[0], now)
		}
	})
}

// A lease that was not written by an instance, and that has no TTL, is taken over.
func TestUnreadableLease(t *testing.T) {
	for name, value := range map[string]string{"one byte": "\xff", "another holder": `{"instance":"ghost","gen":"g","epoch":7}`} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, srv *natstest.Server, rec *recorder) {
				a := rec.start(options(srv.Conn(t), "a"))
				rec.waitShared("a")
				a.stop()
				nc := srv.Conn(t)
				for _, shard := range []string{"0", "5"} {
					if _, err := nc.Request("$KV.chat_own.room."+shard, []byte(value), time.Second); err != nil {
						t.Fatal(err)
					}
				}
				rec.start(options(srv.Conn(t), "b"))
				rec.waitShared("b")
				if rec.overlaps > 0 {
					t.Errorf("%d shards were served twice", rec.overlaps)
				}
			})
		})
	}
}
