package proctest_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/tools/internal/cluster"
	"github.com/confab-chat/confab/tools/internal/cluster/clustertest"
	"github.com/confab-chat/confab/tools/internal/histories"
	"github.com/confab-chat/confab/tools/internal/workload"
)

// TestAnyOrder starts all services before NATS, those that need others first.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, "CONFAB_LOG_LEVEL=debug", "CONFAB_LOG_FORMAT=json")
	c.Start("edge1", "room1", "monitor1", "ratelimit1")
	for name := range c.Parts {
		c.Probe(name, "/livez", 200)
		c.Probe(name, "/readyz", 503)
	}
	c.Start("nats1")
	for name, p := range c.Parts {
		if p.Service != "nats" {
			c.Probe(name, "/readyz", 200)
		}
	}
	load := workload.Start(t, 4, c.URL("edge1"), c.URL("edge1"))
	load.WaitProgress()
	c.WaitHealthy()
	load.Check()
	for name, p := range c.Parts {
		if p.Service != "nats" {
			c.Stop(name)
			checkLog(t, c, name)
		}
	}
}

// checkLog checks that a log has no secrets and no errors. The level is debug.
func checkLog(t *testing.T, c *clustertest.Cluster, name string) {
	t.Helper()
	p := c.Process(name)
	log := p.Stdout() + p.Stderr()
	for what, secret := range map[string]string{"a text": workload.Text, "the secret": clustertest.Secret, "a token": "eyJ", "a panic": "panic", "an error": `"level":"ERROR"`} {
		if at := strings.Index(log, secret); at >= 0 {
			t.Errorf("%s logs %s: %.300s", name, what, log[max(0, at-100):])
		}
	}
	if strings.Count(log, "\n") < 3 {
		t.Errorf("%s logs too little:\n%s", name, log)
	}
}

// TestKill kills each process in turn while clients send.
func TestKill(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t)
	c.Start("nats1", "room1", "room2", "ratelimit1", "monitor1", "edge1")
	c.Probe("edge1", "/readyz", 200)
	load := workload.Start(t, 8, c.URL("edge1"), c.URL("edge1"))
	c.WaitOwned(2) // both own shards: killing one concerns some rooms
	load.WaitProgress()

	c.Kill("room1")
	t.Logf("room: the other one took over within %v", load.WaitProgress())
	c.Start("room1")

	c.Kill("ratelimit1")
	t.Logf("ratelimit: sends went on within %v", load.WaitProgress())
	c.WaitSilent("ratelimit", "degraded")
	c.Start("ratelimit1")

	c.Kill("edge1")
	c.Start("edge1")
	t.Logf("edge: clients were back within %v", load.WaitProgress())

	c.Kill("monitor1")
	load.WaitProgress()
	if status, body, err := cluster.Get(t.Context(), "http://"+c.Parts["edge1"].Public+"/websocket/health"); status != 503 || !strings.Contains(body, `"unhealthy"`) {
		t.Errorf("health without monitor: %d %v %s", status, err, body)
	}
	c.Start("monitor1")

	c.Kill("nats1")
	c.Start("nats1")
	t.Logf("nats: healed within %v", load.WaitProgress())

	c.WaitOwned(2)
	load.Check()
}

// TestNoOwner: while a room has no owner, sends are unavailable or succeed in the end.
func TestNoOwner(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t)
	c.Start("nats1", "room1", "ratelimit1", "monitor1", "edge1")
	c.Probe("edge1", "/readyz", 200)
	load := workload.Start(t, 2, c.URL("edge1"))
	load.WaitProgress()
	c.WaitHealthy()
	c.Kill("room1")
	c.WaitSilent("room", "unhealthy") // no room works
	eventually.OK(t, "a send without outcome", func() error {
		if !slices.ContainsFunc(load.Events(), func(e histories.Event) bool { return e.Kind == histories.Info }) {
			return errors.New("no send was unavailable so far")
		}
		return nil
	})
	c.Start("room1")
	t.Logf("room: sends went on within %v", load.WaitProgress())
	load.Check()
	c.WaitSilent("room", "degraded") // the killed one is listed for a minute
}
