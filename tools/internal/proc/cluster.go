package proc

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/shared/natstest"
)

// Secret signs the tokens of a cluster's users.
const Secret = "CONFAB_AUTH_HMAC_SECRET=a-secret-of-the-tests-with-more-than-32-bytes"

// Cluster is the four services around one nats-server or several, each a process. It
// belongs to the test's goroutine.
type Cluster struct {
	// Parts are the places that have been named so far.
	Parts map[string]*Part

	tb      testing.TB
	nats    []natsOptions
	monitor string
	env     []string
}

// Part is a place for a process: what runs there keeps its addresses.
type Part struct {
	Service string
	Admin   string
	Public  string   // of an edge
	Env     []string // besides the cluster's
	Path    string   // of the program; empty: what the service is built as
	*Process
}

// NewCluster is a cluster around one nats-server in which nothing runs yet. Limits are
// too high to matter.
func NewCluster(tb testing.TB, env ...string) *Cluster {
	tb.Helper()
	c := &Cluster{Parts: make(map[string]*Part), tb: tb, monitor: natstest.FreeAddr(tb)}
	c.nats = []natsOptions{{Name: "nats1", Addr: natstest.FreeAddr(tb), Store: tb.TempDir()}}
	c.settings(env)
	return c
}

// NewReplicated is a cluster around three nats-servers, which keep three copies.
func NewReplicated(tb testing.TB, env ...string) *Cluster {
	tb.Helper()
	c := &Cluster{Parts: make(map[string]*Part), tb: tb, monitor: natstest.FreeAddr(tb)}
	routes := []string{natstest.FreeAddr(tb), natstest.FreeAddr(tb), natstest.FreeAddr(tb)}
	for i, route := range routes {
		c.nats = append(c.nats, natsOptions{
			Name: fmt.Sprint("nats", i+1), Addr: natstest.FreeAddr(tb), Store: tb.TempDir(), Route: route, Routes: routes,
		})
	}
	c.settings(append([]string{"CONFAB_LOG_REPLICAS=3"}, env...))
	return c
}

func (c *Cluster) settings(env []string) {
	c.env = append([]string{
		"CONFAB_NATS_URL=" + c.NATS(), "CONFAB_MONITOR_ADDR=" + c.monitor, Secret,
		"CONFAB_LIMIT_MESSAGES=1000000", "CONFAB_LIMIT_JOINS=1000000", "CONFAB_LIMIT_TYPING=1000000",
	}, env...)
}

// Fast has the nats-servers acknowledge before the disk has what they acknowledge; it is
// called before any is started.
func (c *Cluster) Fast() {
	for i := range c.nats {
		c.nats[i].Fast = true
	}
	c.env = append(c.env, "CONFAB_DURABILITY=fast")
}

// NATS is the URL of all nats-servers.
func (c *Cluster) NATS() string {
	var all []string
	for _, o := range c.nats {
		all = append(all, "nats://"+o.Addr)
	}
	return strings.Join(all, ",")
}

// NATSAddr is the address of the first nats-server.
func (c *Cluster) NATSAddr() string { return c.nats[0].Addr }

// Part is the place called name: a service with a number ("room2"), or "nats" with one.
func (c *Cluster) Part(name string) *Part {
	c.tb.Helper()
	p := c.Parts[name]
	if p == nil {
		p = &Part{Service: strings.TrimRight(name, "0123456789"), Admin: natstest.FreeAddr(c.tb), Public: natstest.FreeAddr(c.tb)}
		c.Parts[name] = p
	}
	return p
}

// Start starts what belongs to a place, or starts it again.
func (c *Cluster) Start(name string, env ...string) *Part {
	c.tb.Helper()
	p := c.Part(name)
	if p.Service == "nats" {
		self, err := os.Executable()
		if err != nil {
			c.tb.Fatal(err)
		}
		i := slices.IndexFunc(c.nats, func(o natsOptions) bool { return o.Name == name })
		p.Process = Run(c.tb, self, c.nats[i].environ())
		return p
	}
	path := p.Path
	if path == "" {
		path = Binary(c.tb, p.Service)
	}
	all := append([]string{"CONFAB_ADMIN_ADDR=" + p.Admin, "CONFAB_EDGE_ADDR=" + p.Public}, c.env...)
	p.Process = Run(c.tb, path, append(append(all, p.Env...), env...))
	return p
}

// All starts several, in that order.
func (c *Cluster) All(names ...string) {
	c.tb.Helper()
	for _, name := range names {
		c.Start(name)
	}
}

// Probe waits for what a part's probe says.
func (c *Cluster) Probe(name, path string, status int) {
	c.tb.Helper()
	p := c.Parts[name]
	p.Answers("http://"+p.Admin+path, status)
}

// URL is an edge's native door.
func (c *Cluster) URL(edge string) string { return "ws://" + c.Parts[edge].Public + "/ws" }

// Picture is what the monitor tells.
type Picture struct {
	Status    string
	Complete  bool
	Missing   []string
	Services  []struct{ Service, Instance, Status string }
	Instances []struct {
		Service, Status string
		Room, Limit     struct{ Shards []int }
	}
}

// Picture asks the monitor for health or statistics.
func (c *Cluster) Picture(path string) (p Picture, status int, err error) {
	status, body, err := Get("http://" + c.monitor + path)
	if err == nil {
		err = json.Unmarshal([]byte(body), &p)
	}
	return p, status, err
}

// Owned waits until every shard has its owner among n instances of room.
func (c *Cluster) Owned(n int) {
	c.tb.Helper()
	Eventually(c.tb, func() error {
		p, _, err := c.Picture("/websocket/stats")
		if err != nil {
			return err
		}
		rooms, limits, owners := 0, 0, 0
		for _, in := range p.Instances {
			if in.Status != "ok" {
				continue
			}
			rooms, limits = rooms+len(in.Room.Shards), limits+len(in.Limit.Shards)
			if len(in.Room.Shards) > 0 {
				owners++
			}
		}
		if rooms != subject.Shards || limits != subject.Shards || owners != n {
			return fmt.Errorf("%d shards of room with %d owners, %d of ratelimit", rooms, owners, limits)
		}
		return nil
	})
}

// noticed is how soon the monitor must show that an instance has gone.
const noticed = 7 * time.Second

// Silent waits until the monitor shows that an instance of a service is not heard
// any more, and checks what it makes of that.
func (c *Cluster) Silent(service, status string) {
	c.tb.Helper()
	var p Picture
	var code int
	took := Eventually(c.tb, func() (err error) {
		if p, code, err = c.Picture("/websocket/health"); err != nil {
			return err
		}
		for _, s := range p.Services {
			if p.Status == status && s.Service == service && (s.Status == "stale" || s.Status == "missing") {
				return nil
			}
		}
		return fmt.Errorf("%s has gone: %+v", service, p)
	})
	want := 200
	if status == "unhealthy" {
		want = 503
	}
	if p.Complete || code != want || took > noticed {
		c.tb.Errorf("%s has gone: after %v %d %+v, want %s", service, took, code, p, status)
	}
	c.tb.Logf("%s has gone: shown after %.1f s", service, took.Seconds())
}

// Healthy waits until nothing is wrong.
func (c *Cluster) Healthy() {
	c.tb.Helper()
	Eventually(c.tb, func() error {
		p, code, err := c.Picture("/websocket/health")
		if err == nil && (p.Status != "healthy" || !p.Complete || code != 200) {
			err = fmt.Errorf("%d %+v", code, p)
		}
		return err
	})
}
