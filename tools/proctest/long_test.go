package proctest_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/confab-chat/confab/tools/internal/cluster/clustertest"
	"github.com/confab-chat/confab/tools/internal/workload"
)

// long leaves a slow test to CI.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("CONFAB_TEST_LONG") == "" {
		t.Skip("slow: set CONFAB_TEST_LONG=1 (bash .ci/run does)")
	}
}

// TestRollingRestart stops and starts every process in turn while clients send. No room is
// without an owner for long, no client without an edge, and no user is seen to leave.
func TestRollingRestart(t *testing.T) {
	long(t)
	t.Parallel()
	c := clustertest.New(t, "CONFAB_DRAIN_DELAY=1s", "CONFAB_DRAIN_WINDOW=3s")
	names := []string{"room1", "room2", "ratelimit1", "ratelimit2", "monitor1", "edge1", "edge2", "edge3"}
	c.Start("nats1")
	c.Start(names...)
	for _, name := range names {
		c.Probe(name, "/readyz", 200)
	}
	lb := clustertest.Balance(t, c.Parts["edge1"], c.Parts["edge2"], c.Parts["edge3"])
	c.WaitOwned(2)
	ann, bob := observe(t, lb.URL(), "ann"), observe(t, lb.URL(), "bob")
	ann.enter("r")
	bob.enter("r")
	ann.hears("userJoined bob")
	load := workload.Start(t, 6, lb.URL(), lb.URL(), lb.URL(), lb.URL())
	load.WaitProgress()
	for _, name := range names {
		c.Stop(name)
		t.Logf("%s stopped: sends went on within %v", name, load.WaitProgress())
		c.Start(name)
		c.Probe(name, "/readyz", 200)
		load.WaitProgress()
		if c.Parts[name].Service == "room" {
			c.WaitOwned(2)
		}
	}
	c.WaitHealthy()
	load.Check()
	ann.never("userLeft bob", "userOffline bob")
	bob.never("userLeft ann", "userOffline ann")
	ann.hears("userJoined bob", "userOnline bob") // once, for all of it
}

// TestNemesis kills, pauses and stops processes at random for a minute. CONFAB_TEST_SEED repeats a
// run.
func TestNemesis(t *testing.T) {
	long(t)
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("CONFAB_TEST_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("CONFAB_TEST_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	c := clustertest.New(t)
	names := []string{"nats1", "room1", "room2", "ratelimit1", "monitor1", "edge1", "edge2"}
	c.Start(names...)
	c.Probe("edge1", "/readyz", 200)
	c.Probe("edge2", "/readyz", 200)
	load := workload.Start(t, 6, c.URL("edge1"), c.URL("edge1"), c.URL("edge2"))
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		name := names[random.IntN(len(names))]
		switch what := random.IntN(4); {
		case what == 0 && c.Parts[name].Service != "nats":
			t.Logf("%s is stopped", name)
			c.Probe(name, "/livez", 200) // before that SIGTERM kills it like SIGKILL
			c.Stop(name)
			c.Start(name)
		case what == 1:
			// Longer than a lease: the process still considers itself owner of what others own now.
			t.Logf("%s is paused", name)
			c.Pause(name, func() { pause(t, time.Duration(random.IntN(6000))*time.Millisecond) })
		default:
			t.Logf("%s is killed", name)
			c.Kill(name)
			if random.IntN(2) == 0 { // with another one
				other := names[random.IntN(len(names))]
				t.Logf("%s too", other)
				c.Kill(other)
				pause(t, time.Duration(random.IntN(1000))*time.Millisecond)
				if other != name {
					c.Start(other)
				}
			}
			c.Start(name)
		}
		t.Logf("sends go on after %v", load.WaitProgress())
	}
	load.Check()
}

// pause lets a fault last.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
