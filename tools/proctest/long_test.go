package proctest_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/confab-chat/confab/tools/internal/proc"
	"github.com/confab-chat/confab/tools/internal/talk"
)

// long leaves a slow test to CI.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("CONFAB_TEST_LONG") == "" {
		t.Skip("slow: set CONFAB_TEST_LONG=1 (bash .ci/run does)")
	}
}

// TestRollingRestart restarts every process in good order, one after another, with
// clients talking. Nobody is ever without an owner or an edge for long, and nobody
// is seen to leave.
func TestRollingRestart(t *testing.T) {
	long(t)
	t.Parallel()
	c := proc.NewCluster(t, "CONFAB_DRAIN_DELAY=1s", "CONFAB_DRAIN_WINDOW=3s")
	names := []string{"room1", "room2", "ratelimit1", "ratelimit2", "monitor1", "edge1", "edge2", "edge3"}
	c.Start("nats1")
	c.All(names...)
	for _, name := range names {
		c.Probe(name, "/readyz", 200)
	}
	lb := proc.Balance(t, c.Parts["edge1"], c.Parts["edge2"], c.Parts["edge3"])
	c.Owned(2)
	ann, bob := observe(t, lb.URL(), "ann"), observe(t, lb.URL(), "bob")
	ann.enter("r")
	bob.enter("r")
	ann.hears("userJoined bob")
	ch := talk.Start(t, 6, lb.URL(), lb.URL(), lb.URL(), lb.URL())
	ch.Progress()
	for _, name := range names {
		p := c.Parts[name]
		p.Signal(syscall.SIGTERM)
		if code := p.Exit(); code != 0 {
			t.Errorf("%s ended with %d", name, code)
		}
		t.Logf("%s stopped: sends went on within %v", name, ch.Progress())
		c.Start(name)
		c.Probe(name, "/readyz", 200)
		ch.Progress()
		if p.Service == "room" {
			c.Owned(2)
		}
	}
	c.Healthy()
	ch.Verdict()
	ann.never("userLeft bob", "userOffline bob")
	bob.never("userLeft ann", "userOffline ann")
	ann.hears("userJoined bob", "userOnline bob") // once, for all of it
}

// TestNemesis does what is worst, at random, for a minute. CONFAB_TEST_SEED repeats a run.
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
	c := proc.NewCluster(t)
	names := []string{"nats1", "room1", "room2", "ratelimit1", "monitor1", "edge1", "edge2"}
	c.All(names...)
	c.Probe("edge1", "/readyz", 200)
	c.Probe("edge2", "/readyz", 200)
	ch := talk.Start(t, 6, c.URL("edge1"), c.URL("edge1"), c.URL("edge2"))
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		name := names[random.IntN(len(names))]
		p := c.Parts[name]
		switch what := random.IntN(4); {
		case what == 0 && p.Service != "nats":
			t.Logf("%s is asked to stop", name)
			p.Signal(syscall.SIGTERM)
			if code := p.Exit(); code != 0 {
				t.Errorf("%s ended with %d", name, code)
			}
			c.Start(name)
		case what == 1:
			// Longer than a lease: whoever wakes up believes to own what others own.
			t.Logf("%s is held up", name)
			p.Signal(syscall.SIGSTOP)
			wait(t, time.Duration(random.IntN(6000))*time.Millisecond)
			p.Signal(syscall.SIGCONT)
		default:
			t.Logf("%s is killed", name)
			p.Kill()
			if random.IntN(2) == 0 { // with another one
				other := names[random.IntN(len(names))]
				t.Logf("%s too", other)
				c.Parts[other].Kill()
				wait(t, time.Duration(random.IntN(1000))*time.Millisecond)
				if other != name {
					c.Start(other)
				}
			}
			c.Start(name)
		}
		t.Logf("sends go on after %v", ch.Progress())
	}
	ch.Verdict()
}

// wait lets a fault last.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
