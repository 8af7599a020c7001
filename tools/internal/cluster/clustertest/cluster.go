package clustertest

import (
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/tools/internal/cluster"
)

// Secret signs the tokens of a cluster's users.
const Secret = "a-secret-of-the-tests-with-more-than-32-bytes"

// SecretEnv is the setting of a service that has Secret.
const SecretEnv = "CONFAB_AUTH_HMAC_SECRET=" + Secret

// Cluster is a cluster of a test. Its methods must be called on the test's goroutine.
type Cluster struct {
	*cluster.Cluster
	tb testing.TB
}

// New returns a cluster around one nats-server, in which no process runs yet. Limits are too
// high to matter.
func New(tb testing.TB, env ...string) *Cluster {
	tb.Helper()
	return newCluster(tb, 1, env)
}

// NewReplicated returns a cluster around three nats-servers, which keep three copies.
func NewReplicated(tb testing.TB, env ...string) *Cluster {
	tb.Helper()
	return newCluster(tb, 3, append([]string{"CONFAB_LOG_REPLICAS=3"}, env...))
}

func newCluster(tb testing.TB, servers int, env []string) *Cluster {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	c, err := cluster.New(cluster.Options{
		Bin: binDir(), Dir: tb.TempDir(), NATS: servers, Other: map[string]string{"nats-server": self},
		Env: append([]string{
			SecretEnv, "CONFAB_LIMIT_MESSAGES=1000000", "CONFAB_LIMIT_JOINS=1000000", "CONFAB_LIMIT_TYPING=1000000",
		}, env...),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		for _, p := range c.Started() {
			p.Kill()
		}
		for _, p := range c.Started() {
			logTail(tb, p)
		}
	})
	return &Cluster{c, tb}
}

// Part returns the place called name, before its first start if need be.
func (c *Cluster) Part(name string) *cluster.Part {
	c.tb.Helper()
	p, err := c.Cluster.Part(name)
	if err != nil {
		c.tb.Fatal(err)
	}
	return p
}

// Start starts processes in that order, again if they have ended.
func (c *Cluster) Start(names ...string) {
	c.tb.Helper()
	if err := buildAll(); err != nil {
		c.tb.Fatal(err)
	}
	for _, name := range names {
		var env []string
		if c.Part(name).Service == "nats" {
			env = []string{asNATS}
		}
		if err := c.Cluster.Start(name, env...); err != nil {
			c.tb.Fatal(err)
		}
	}
}

// Process returns the process that runs as name.
func (c *Cluster) Process(name string) *Process {
	c.tb.Helper()
	return &Process{c.Part(name).Running, c.tb}
}

// Kill ends a process with SIGKILL and waits for the end.
func (c *Cluster) Kill(name string) { c.Parts[name].Running.Kill() }

// Stop ends a process with SIGTERM, after which it must exit with 0.
func (c *Cluster) Stop(name string) {
	c.tb.Helper()
	p := c.Process(name)
	p.Signal(syscall.SIGTERM)
	if code := p.Exit(); code != 0 {
		c.tb.Errorf("%s ended with %d", name, code)
	}
}

// Pause stops a process with SIGSTOP, as a busy hypervisor does, until meanwhile has returned.
func (c *Cluster) Pause(name string, meanwhile func()) {
	c.tb.Helper()
	p := c.Process(name)
	p.Signal(syscall.SIGSTOP)
	meanwhile()
	p.Signal(syscall.SIGCONT)
}

// Probe waits until a path of a process's admin listener is answered with status.
func (c *Cluster) Probe(name, path string, status int) {
	c.tb.Helper()
	c.Process(name).WaitStatus("http://"+c.Parts[name].Admin+path, status)
}

// URL returns the URL of an edge's WebSockets.
func (c *Cluster) URL(edge string) string { return "ws://" + c.Parts[edge].Public + "/ws" }

// Metrics returns the metrics of a process.
func (c *Cluster) Metrics(name string) (string, error) {
	_, body, err := cluster.Get(c.tb.Context(), "http://"+c.Parts[name].Admin+"/metrics")
	return body, err
}

// Report is an answer of the monitor.
type Report struct {
	Status    string
	Complete  bool
	Missing   []string
	Services  []struct{ Service, Instance, Status string }
	Instances []struct {
		Service, Status string
		Room, Limit     struct{ Shards []int }
	}
}

// Report asks the monitor for a path.
func (c *Cluster) Report(path string) (r Report, status int, err error) {
	status, body, err := cluster.Get(c.tb.Context(), c.MonitorURL()+path)
	if err == nil {
		err = json.Unmarshal([]byte(body), &r)
	}
	return r, status, err
}

// WaitOwned waits until every shard has its owner among n instances of room.
func (c *Cluster) WaitOwned(n int) {
	c.tb.Helper()
	eventually.OK(c.tb, "owners of all shards", func() error {
		r, _, err := c.Report("/websocket/stats")
		if err != nil {
			return err
		}
		rooms, limits, owners := 0, 0, 0
		for _, in := range r.Instances {
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

// WaitSilent waits until the monitor reports that an instance of a service is not heard any
// more, and checks the status of the suite that it reports then.
func (c *Cluster) WaitSilent(service, status string) {
	c.tb.Helper()
	var r Report
	var code int
	took := eventually.OK(c.tb, "the monitor reports that "+service+" has gone", func() (err error) {
		if r, code, err = c.Report("/websocket/health"); err != nil {
			return err
		}
		for _, s := range r.Services {
			if r.Status == status && s.Service == service && (s.Status == "stale" || s.Status == "missing") {
				return nil
			}
		}
		return fmt.Errorf("%+v", r)
	})
	want := 200
	if status == "unhealthy" {
		want = 503
	}
	if r.Complete || code != want {
		c.tb.Errorf("%s has gone: %d %+v, want %s", service, code, r, status)
	}
	c.tb.Logf("%s has gone: reported after %.1f s", service, took.Seconds())
}

// WaitHealthy waits until the monitor reports that all is well.
func (c *Cluster) WaitHealthy() {
	c.tb.Helper()
	eventually.OK(c.tb, "a healthy suite", func() error {
		r, code, err := c.Report("/websocket/health")
		if err == nil && (r.Status != "healthy" || !r.Complete || code != 200) {
			err = fmt.Errorf("%d %+v", code, r)
		}
		return err
	})
}
