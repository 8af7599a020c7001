package proctest_test

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/confab-chat/confab/tools/internal/history"
)

// TestAnyOrder starts everything before NATS, the last that others need first.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "CONFAB_LOG_LEVEL=debug", "CONFAB_LOG_FORMAT=json")
	c.all("edge1", "room1", "monitor1", "ratelimit1")
	for name := range c.parts {
		c.probe(name, "/livez", 200)
		c.probe(name, "/readyz", 503)
	}
	c.start("nats1")
	for name, p := range c.parts {
		if p.service != "nats" {
			c.probe(name, "/readyz", 200)
		}
	}
	ch := startChat(t, 4, c.url("edge1"), c.url("edge1"))
	ch.progress()
	c.healthy()
	ch.verdict()
	for name, p := range c.parts {
		if p.service != "nats" {
			p.signal(syscall.SIGTERM)
			if code := p.exit(); code != 0 {
				t.Errorf("%s ended with %d", name, code)
			}
			c.discreet(name)
		}
	}
}

// discreet looks for what must not be in a log. Everything is logged: the level is debug.
func (c *cluster) discreet(name string) {
	c.tb.Helper()
	p := c.parts[name]
	log := p.read(p.out) + p.stderr()
	_, key, _ := strings.Cut(secret, "=")
	for what, secret := range map[string]string{"a text": text, "the secret": key, "a token": "eyJ", "a panic": "panic", "an error": `"level":"ERROR"`} {
		if at := strings.Index(log, secret); at >= 0 {
			c.tb.Errorf("%s logs %s: %.300s", name, what, log[max(0, at-100):])
		}
	}
	if strings.Count(log, "\n") < 3 {
		c.tb.Errorf("%s logs nothing:\n%s", name, log)
	}
}

// TestKill kills each process in turn, with clients talking all the time.
func TestKill(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.all("nats1", "room1", "room2", "ratelimit1", "monitor1", "edge1")
	c.probe("edge1", "/readyz", 200)
	ch := startChat(t, 8, c.url("edge1"), c.url("edge1"))
	c.owned(2) // both own shards: killing one concerns some rooms
	ch.progress()

	c.parts["room1"].kill()
	t.Logf("room: the other one took over within %v", ch.progress())
	c.start("room1")

	c.parts["ratelimit1"].kill()
	t.Logf("ratelimit: sends went on within %v", ch.progress())
	c.silent("ratelimit", "degraded")
	c.start("ratelimit1")

	c.parts["edge1"].kill()
	c.start("edge1")
	t.Logf("edge: clients were back within %v", ch.progress())

	c.parts["monitor1"].kill()
	ch.progress()
	if status, body, err := get("http://" + c.parts["edge1"].public + "/websocket/health"); status != 503 || !strings.Contains(body, `"unhealthy"`) {
		t.Errorf("health without monitor: %d %v %s", status, err, body)
	}
	c.start("monitor1")

	c.parts["nats1"].kill()
	c.start("nats1")
	t.Logf("nats: healed within %v", ch.progress())

	c.owned(2)
	ch.verdict()
}

// TestNoOwner: while nobody owns a room, sends are unavailable or succeed in the end.
func TestNoOwner(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.all("nats1", "room1", "ratelimit1", "monitor1", "edge1")
	c.probe("edge1", "/readyz", 200)
	ch := startChat(t, 2, c.url("edge1"))
	ch.progress()
	c.healthy()
	c.parts["room1"].kill()
	c.silent("room", "unhealthy") // nobody can chat
	eventually(t, func() error {
		if !slices.ContainsFunc(ch.rec.Events(), func(e history.Event) bool { return e.Kind == history.Info }) {
			return errors.New("no send was unavailable")
		}
		return nil
	})
	c.start("room1")
	t.Logf("room: back within %v", ch.progress())
	ch.verdict()
	c.silent("room", "degraded") // the killed one is listed for a minute
}
