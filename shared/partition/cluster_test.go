package partition_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/shared/partition"
)

const bucketStream = "KV_chat_own"

// replicated returns the options of an instance on a cluster. Elections last
// longer than the shortest TTL.
func replicated(tb testing.TB, c *natstest.Cluster, name string) partition.Options {
	o := options(c.Conn(tb), name)
	o.Replicas = 3
	o.TTL, o.Renew = partition.DefaultTTL, partition.DefaultRenew
	return o
}

// Three replicas answer a lost compare-and-set differently from one, and stall when the leader changes.
func TestClusterSharesAndSurvivesLeaders(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("three servers")
	}
	c := natstest.StartCluster(t, 3)
	l := newLedger(t)
	// Together: they race for the bucket and for the shards.
	a := l.start(replicated(t, c, "a"))
	l.start(replicated(t, c, "b"))
	l.start(replicated(t, c, "c"))
	l.waitShared("a", "b", "c")

	c.StepDown(t, bucketStream)
	waitRenewed(t, c)
	l.waitShared("a", "b", "c")

	begin := time.Now()
	a.stop()
	l.waitShared("b", "c")
	t.Logf("graceful stop to others serving: %v", time.Since(begin))

	c.Node(c.Leader(t, bucketStream)).Restart(t)
	l.start(replicated(t, c, "d"))
	l.waitShared("b", "c", "d")
}

// waitRenewed returns when the bucket has stored two renewals of everything from now.
func waitRenewed(tb testing.TB, c *natstest.Cluster) {
	tb.Helper()
	js, err := jetstream.New(c.Conn(tb))
	if err != nil {
		tb.Fatal(err)
	}
	last := func() uint64 {
		s, err := js.Stream(tb.Context(), bucketStream)
		if err != nil {
			return 0 // no leader
		}
		return s.CachedInfo().State.LastSeq
	}
	var begin uint64
	eventually.True(tb, "a leader", func() bool { begin = last(); return begin > 0 })
	eventually.True(tb, "renewals", func() bool { return last() > begin+2*shards })
}

// NATS recreates a replicated bucket when all servers have restarted: empty,
// with the revisions it began with.
func TestClusterForgetsEverything(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("three servers")
	}
	c := natstest.StartCluster(t, 3)
	l := newLedger(t)
	l.start(replicated(t, c, "a"))
	l.start(replicated(t, c, "b"))
	l.waitShared("a", "b")
	before := l.epochsNow()
	for i := range 3 {
		c.Node(i).Stop()
	}
	l.wait("leases to end", func() bool { return len(l.counts()) == 0 })
	for i := range 3 {
		c.Node(i).Restart(t)
	}
	l.waitNewEpochs(before)
	l.waitShared("a", "b")
}

// A bucket that was made on one server is replicated when that is asked for.
func TestBucketIsReplicatedLater(t *testing.T) {
	t.Parallel()
	srv := natstest.StartCluster(t, 3)
	nc := srv.Conn(t)
	l := newLedger(t)
	a := l.start(patient(options(nc, "a")))
	l.waitShared("a")
	a.stop()
	o := patient(options(nc, "b"))
	o.Replicas = 3
	l.start(o)
	l.waitShared("b")
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "three replicas", func() bool { // its leader may be another by now
		s, err := js.Stream(t.Context(), bucketStream)
		return err == nil && s.CachedInfo().Config.Replicas == 3
	})
}
