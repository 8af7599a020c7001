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

// replicated returns the options of an instance on a cluster, in real time. An election lasts
// longer than the shortest TTL.
func replicated(tb testing.TB, c *natstest.Cluster, name string) partition.Options {
	o := options(c.Conn(tb), name)
	o.Replicas = 3
	o.TTL = partition.DefaultTTL
	return o
}

// Three replicas answer a lost compare-and-set differently from one, and stall when the leader changes.
func TestClusterSharesAndSurvivesLeaders(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("three servers")
	}
	c := natstest.StartCluster(t, 3)
	rec := newRecorder(t)
	// Together: they race for the bucket and for the shards.
	a := rec.start(replicated(t, c, "a"))
	rec.start(replicated(t, c, "b"))
	rec.start(replicated(t, c, "c"))
	rec.waitShared("a", "b", "c")

	c.StepDown(t, bucketStream)
	waitRenewed(t, c)
	rec.waitShared("a", "b", "c")

	a.stop()
	rec.waitShared("b", "c")

	c.Node(c.Leader(t, bucketStream)).Restart(t)
	rec.start(replicated(t, c, "d"))
	rec.waitShared("b", "c", "d")
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
	rec := newRecorder(t)
	for _, name := range []string{"a", "b"} {
		o := replicated(t, c, name)
		o.TTL = 2 * time.Second // the test waits for the leases to end
		rec.start(o)
	}
	rec.waitShared("a", "b")
	before := rec.epochsNow()
	for i := range 3 {
		c.Node(i).Stop()
	}
	rec.wait("leases to end", func() bool { return len(rec.counts()) == 0 })
	for i := range 3 {
		c.Node(i).Restart(t)
	}
	rec.waitNewEpochs(before)
	rec.waitShared("a", "b")
}

// A bucket that was made on one server is replicated when that is asked for.
func TestBucketIsReplicatedLater(t *testing.T) {
	t.Parallel()
	srv := natstest.StartCluster(t, 3)
	nc := srv.Conn(t)
	rec := newRecorder(t)
	o := replicated(t, srv, "a")
	o.Replicas = 1
	a := rec.start(o)
	rec.waitShared("a")
	a.stop()
	rec.start(replicated(t, srv, "b"))
	rec.waitShared("b")
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "three replicas", func() bool { // its leader may be another by now
		s, err := js.Stream(t.Context(), bucketStream)
		return err == nil && s.CachedInfo().Config.Replicas == 3
	})
}
