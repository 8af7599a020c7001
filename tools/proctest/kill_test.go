package proctest_test

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/confab-chat/confab/tools/internal/history"
	"github.com/confab-chat/confab/tools/internal/proc"
	"github.com/confab-chat/confab/tools/internal/talk"
)

// TestAnyOrder starts everything before NATS, the last that others need first.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	c := proc.NewCluster(t, "CONFAB_LOG_LEVEL=debug", "CONFAB_LOG_FORMAT=json")
	c.All("edge1", "room1", "monitor1", "ratelimit1")
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
	ch := talk.Start(t, 4, c.URL("edge1"), c.URL("edge1"))
	ch.Progress()
	c.Healthy()
	ch.Verdict()
	for name, p := range c.Parts {
		if p.Service != "nats" {
			p.Signal(syscall.SIGTERM)
			if code := p.Exit(); code != 0 {
				t.Errorf("%s ended with %d", name, code)
			}
			discreet(t, c, name)
		}
	}
}

// discreet looks for what must not be in a log. Everything is logged: the level is debug.
func discreet(t *testing.T, c *proc.Cluster, name string) {
	t.Helper()
	p := c.Parts[name]
	log := p.Stdout() + p.Stderr()
	_, key, _ := strings.Cut(proc.Secret, "=")
	for what, secret := range map[string]string{"a text": talk.Text, "the secret": key, "a token": "eyJ", "a panic": "panic", "an error": `"level":"ERROR"`} {
		if at := strings.Index(log, secret); at >= 0 {
			t.Errorf("%s logs %s: %.300s", name, what, log[max(0, at-100):])
		}
	}
	if strings.Count(log, "\n") < 3 {
		t.Errorf("%s logs nothing:\n%s", name, log)
	}
}

// TestKill kills each process in turn, with clients talking all the time.
func TestKill(t *testing.T) {
	t.Parallel()
	c := proc.NewCluster(t)
	c.All("nats1", "room1", "room2", "ratelimit1", "monitor1", "edge1")
	c.Probe("edge1", "/readyz", 200)
	ch := talk.Start(t, 8, c.URL("edge1"), c.URL("edge1"))
	c.Owned(2) // both own shards: killing one concerns some rooms
	ch.Progress()

	c.Parts["room1"].Kill()
	t.Logf("room: the other one took over within %v", ch.Progress())
	c.Start("room1")

	c.Parts["ratelimit1"].Kill()
	t.Logf("ratelimit: sends went on within %v", ch.Progress())
	c.Silent("ratelimit", "degraded")
	c.Start("ratelimit1")

	c.Parts["edge1"].Kill()
	c.Start("edge1")
	t.Logf("edge: clients were back within %v", ch.Progress())

	c.Parts["monitor1"].Kill()
	ch.Progress()
	if status, body, err := proc.Get("http://" + c.Parts["edge1"].Public + "/websocket/health"); status != 503 || !strings.Contains(body, `"unhealthy"`) {
		t.Errorf("health without monitor: %d %v %s", status, err, body)
	}
	c.Start("monitor1")

	c.Parts["nats1"].Kill()
	c.Start("nats1")
	t.Logf("nats: healed within %v", ch.Progress())

	c.Owned(2)
	ch.Verdict()
}

// TestNoOwner: while nobody owns a room, sends are unavailable or succeed in the end.
func TestNoOwner(t *testing.T) {
	t.Parallel()
	c := proc.NewCluster(t)
	c.All("nats1", "room1", "ratelimit1", "monitor1", "edge1")
	c.Probe("edge1", "/readyz", 200)
	ch := talk.Start(t, 2, c.URL("edge1"))
	ch.Progress()
	c.Healthy()
	c.Parts["room1"].Kill()
	c.Silent("room", "unhealthy") // nobody can chat
	proc.Eventually(t, func() error {
		if !slices.ContainsFunc(ch.Events(), func(e history.Event) bool { return e.Kind == history.Info }) {
			return errors.New("no send was unavailable")
		}
		return nil
	})
	c.Start("room1")
	t.Logf("room: back within %v", ch.Progress())
	ch.Verdict()
	c.Silent("room", "degraded") // the killed one is listed for a minute
}
