package proctest_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"
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
	c := newCluster(t, "CONFAB_DRAIN_DELAY=1s", "CONFAB_DRAIN_WINDOW=3s")
	names := []string{"room1", "room2", "ratelimit1", "ratelimit2", "monitor1", "edge1", "edge2", "edge3"}
	c.start("nats1")
	c.all(names...)
	for _, name := range names {
		c.probe(name, "/readyz", 200)
	}
	lb := balance(t, c.parts["edge1"], c.parts["edge2"], c.parts["edge3"])
	c.owned(2)
	ann, bob := observe(t, lb.url(), "ann"), observe(t, lb.url(), "bob")
	ann.enter("r")
	bob.enter("r")
	ann.hears("userJoined bob")
	ch := startChat(t, 6, lb.url(), lb.url(), lb.url(), lb.url())
	ch.progress()
	for _, name := range names {
		p := c.parts[name]
		p.signal(syscall.SIGTERM)
		if code := p.exit(); code != 0 {
			t.Errorf("%s ended with %d", name, code)
		}
		t.Logf("%s stopped: sends went on within %v", name, ch.progress())
		c.start(name)
		c.probe(name, "/readyz", 200)
		ch.progress()
		if p.service == "room" {
			c.owned(2)
		}
	}
	c.healthy()
	ch.verdict()
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
	c := newCluster(t)
	names := []string{"nats1", "room1", "room2", "ratelimit1", "monitor1", "edge1", "edge2"}
	c.all(names...)
	c.probe("edge1", "/readyz", 200)
	c.probe("edge2", "/readyz", 200)
	ch := startChat(t, 6, c.url("edge1"), c.url("edge1"), c.url("edge2"))
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		name := names[random.IntN(len(names))]
		p := c.parts[name]
		switch what := random.IntN(4); {
		case what == 0 && p.service != "nats":
			t.Logf("%s is asked to stop", name)
			p.signal(syscall.SIGTERM)
			if code := p.exit(); code != 0 {
				t.Errorf("%s ended with %d", name, code)
			}
			c.start(name)
		case what == 1:
			// Longer than a lease: whoever wakes up believes to own what others own.
			t.Logf("%s is held up", name)
			p.signal(syscall.SIGSTOP)
			wait(t, time.Duration(random.IntN(6000))*time.Millisecond)
			p.signal(syscall.SIGCONT)
		default:
			t.Logf("%s is killed", name)
			p.kill()
			if random.IntN(2) == 0 { // with another one
				other := names[random.IntN(len(names))]
				t.Logf("%s too", other)
				c.parts[other].kill()
				wait(t, time.Duration(random.IntN(1000))*time.Millisecond)
				if other != name {
					c.start(other)
				}
			}
			c.start(name)
		}
		t.Logf("sends go on after %v", ch.progress())
	}
	ch.verdict()
}

// wait lets a fault last.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
