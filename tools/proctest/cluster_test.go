package proctest_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/tools/internal/freeport"
)

// cluster is the four services around a nats-server, each a process. It belongs to
// the test's goroutine.
type cluster struct {
	tb      testing.TB
	nats    string // host:port
	store   string
	monitor string
	env     []string
	parts   map[string]*part
}

// part is a place for a process: what runs there keeps its addresses.
type part struct {
	service string
	admin   string
	public  string // of an edge
	*process
}

func newCluster(tb testing.TB, env ...string) *cluster {
	tb.Helper()
	c := &cluster{tb: tb, nats: freeport.Addr(tb), store: tb.TempDir(), monitor: freeport.Addr(tb), parts: make(map[string]*part)}
	c.env = append([]string{
		"CONFAB_NATS_URL=nats://" + c.nats, "CONFAB_MONITOR_ADDR=" + c.monitor, secret,
		"CONFAB_LIMIT_MESSAGES=1000000", "CONFAB_LIMIT_JOINS=1000000", "CONFAB_LIMIT_TYPING=1000000",
	}, env...)
	return c
}

// start starts what is called name: "nats", or a service with a number ("room2").
func (c *cluster) start(name string, env ...string) *part {
	c.tb.Helper()
	p := c.parts[name]
	if p == nil {
		p = &part{service: strings.TrimRight(name, "0123456789"), admin: freeport.Addr(c.tb), public: freeport.Addr(c.tb)}
		c.parts[name] = p
	}
	if p.service == "nats" {
		_, port, err := net.SplitHostPort(c.nats)
		if err != nil {
			c.tb.Fatal(err)
		}
		self, err := os.Executable()
		if err != nil {
			c.tb.Fatal(err)
		}
		p.process = run(c.tb, self, []string{childMode + "=nats", "NATS_STORE=" + c.store, "NATS_PORT=" + port})
		return p
	}
	all := append([]string{"CONFAB_ADMIN_ADDR=" + p.admin, "CONFAB_EDGE_ADDR=" + p.public}, c.env...)
	p.process = run(c.tb, binary(c.tb, p.service), append(all, env...))
	return p
}

func (c *cluster) all(names ...string) {
	c.tb.Helper()
	for _, name := range names {
		c.start(name)
	}
}

// probe waits for what a part's probe says.
func (c *cluster) probe(name, path string, status int) {
	c.tb.Helper()
	p := c.parts[name]
	p.answers("http://"+p.admin+path, status)
}

// url is an edge's native door.
func (c *cluster) url(edge string) string { return "ws://" + c.parts[edge].public + "/ws" }

// picture is what the monitor tells.
type picture struct {
	Status    string
	Complete  bool
	Missing   []string
	Services  []struct{ Service, Instance, Status string }
	Instances []struct {
		Service, Status string
		Room, Limit     struct{ Shards []int }
	}
}

func (c *cluster) picture(path string) (p picture, status int, err error) {
	status, body, err := get("http://" + c.monitor + path)
	if err == nil {
		err = json.Unmarshal([]byte(body), &p)
	}
	return p, status, err
}

// owned waits until every shard has its owner among n instances of room.
func (c *cluster) owned(n int) {
	c.tb.Helper()
	eventually(c.tb, func() error {
		p, _, err := c.picture("/websocket/stats")
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

// silent waits until the monitor shows that an instance of a service is not heard
// any more, and checks what it makes of that.
func (c *cluster) silent(service, status string) {
	c.tb.Helper()
	var p picture
	var code int
	took := eventually(c.tb, func() (err error) {
		if p, code, err = c.picture("/websocket/health"); err != nil {
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

// healthy waits until nothing is wrong.
func (c *cluster) healthy() {
	c.tb.Helper()
	eventually(c.tb, func() error {
		p, code, err := c.picture("/websocket/health")
		if err == nil && (p.Status != "healthy" || !p.Complete || code != 200) {
			err = fmt.Errorf("%d %+v", code, p)
		}
		return err
	})
}
