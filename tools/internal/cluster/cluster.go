// Package cluster runs the suite as it ships: nats-server and every service are processes of
// their own. Tests use it through package clustertest, measurements through the command testbed.
package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"github.com/confab-chat/confab/shared/freeport"
)

// Options describe a cluster. Bin and Dir are required.
type Options struct {
	Bin   string            // folder of the programs: edge, room, ratelimit, monitor, nats-server
	Dir   string            // of logs, settings and the files of NATS
	Other map[string]string // programs that are not in Bin, by name
	Env   []string          // settings of all services, besides their addresses
	NATS  int               // how many nats-servers; default 1. Three keep three copies of a log.
	Fast  bool              // NATS acknowledges before the data is on the disk
}

// Cluster is the services around one nats-server or several. Its methods must not be called
// concurrently.
type Cluster struct {
	// Parts are the processes by their names: a service, or nats, with a number ("room2").
	Parts map[string]*Part

	options Options
	nats    []natsServer
	monitor string
	started []*Process // in the order of their start
}

// Part is the place of one process. It keeps its addresses when the process is started again.
type Part struct {
	Service string   // edge, room, ratelimit, monitor, nats
	Admin   string   // address of probes and metrics; empty for nats
	Public  string   // address of clients, of edge, monitor and nats
	Env     []string // settings, besides those of the cluster
	Path    string   // of the program; empty: the one in Options.Bin

	Running *Process // the latest that was started, nil before

	starts int
}

// New returns a cluster in which no process runs yet.
func New(o Options) (*Cluster, error) {
	o.NATS = max(o.NATS, 1)
	var err1, err2 error
	o.Bin, err1 = filepath.Abs(o.Bin)
	o.Dir, err2 = filepath.Abs(o.Dir)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	c := &Cluster{Parts: make(map[string]*Part), options: o}
	for i := range o.NATS {
		s := natsServer{name: fmt.Sprint("nats", i+1)}
		s.addr, err1 = freeport.Addr()
		if o.NATS > 1 {
			s.route, err2 = freeport.Addr()
		}
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		c.nats = append(c.nats, s)
	}
	var err error
	c.monitor, err = freeport.Addr()
	return c, err
}

// SetFast makes the nats-servers acknowledge before the data is on the disk, and configures
// the services accordingly. It must be called before the first Start.
func (c *Cluster) SetFast() {
	c.options.Fast = true
	c.options.Env = append(c.options.Env, "CONFAB_DURABILITY=fast")
}

// NATS returns the URLs of all nats-servers, separated by commas.
func (c *Cluster) NATS() string {
	var all []string
	for _, s := range c.nats {
		all = append(all, "nats://"+s.addr)
	}
	return strings.Join(all, ",")
}

// MonitorURL returns the URL of the monitors, of which at most one runs at a time.
func (c *Cluster) MonitorURL() string { return "http://" + c.monitor }

// Part returns the place called name and reserves its addresses when it is new.
func (c *Cluster) Part(name string) (*Part, error) {
	if p := c.Parts[name]; p != nil {
		return p, nil
	}
	p := &Part{Service: strings.TrimRight(name, "0123456789")}
	var err1, err2 error
	switch p.Service {
	case "nats":
		i := slices.IndexFunc(c.nats, func(s natsServer) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("%s: the cluster has %d nats-servers", name, len(c.nats))
		}
		p.Public = c.nats[i].addr
	case "monitor":
		p.Public = c.monitor
		p.Admin, err1 = freeport.Addr()
	default:
		p.Public, err1 = freeport.Addr()
		p.Admin, err2 = freeport.Addr()
	}
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	c.Parts[name] = p
	return p, nil
}

// Start starts the process called name, again if it has ended. env adds to its settings, this
// time only.
func (c *Cluster) Start(name string, env ...string) error {
	p, err := c.Part(name)
	if err != nil {
		return err
	}
	program := p.Service
	var args []string
	if p.Service == "nats" {
		program = "nats-server"
		i := slices.IndexFunc(c.nats, func(s natsServer) bool { return s.name == name })
		config, err := c.writeNATS(c.nats[i])
		if err != nil {
			return err
		}
		args = []string{"-c", config}
	} else {
		env = slices.Concat([]string{
			"CONFAB_NATS_URL=" + c.NATS(), "CONFAB_ADMIN_ADDR=" + p.Admin,
			"CONFAB_EDGE_ADDR=" + p.Public, "CONFAB_MONITOR_ADDR=" + c.monitor,
		}, c.options.Env, p.Env, env)
	}
	log := name
	if p.starts++; p.starts > 1 {
		log = fmt.Sprint(name, "-again", p.starts-1)
	}
	path := cmp.Or(p.Path, c.options.Other[program], filepath.Join(c.options.Bin, program))
	p.Running, err = Spawn(c.options.Dir, log, path, env, args...)
	if err == nil {
		c.started = append(c.started, p.Running)
	}
	return err
}

// WaitReady waits until the process called name is ready: until its admin listener says so, or
// a nats-server accepts connections.
func (c *Cluster) WaitReady(ctx context.Context, name string) error {
	p := c.Parts[name]
	if p.Admin != "" {
		return p.Running.WaitStatus(ctx, "http://"+p.Admin+"/readyz", 200)
	}
	return p.Running.WaitFor(ctx, func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.Public)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// Started returns all processes in the order of their start, those that have ended too.
func (c *Cluster) Started() []*Process { return c.started }

// Close stops all processes, the latest first, and returns an error for each that had to be
// killed. Calling it again does nothing.
func (c *Cluster) Close() error {
	var errs []error
	for _, p := range slices.Backward(c.started) {
		errs = append(errs, p.Stop())
	}
	c.started = nil
	return errors.Join(errs...)
}
