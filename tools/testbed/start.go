package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/confab-chat/confab/tools/internal/cluster"
)

// readyTimeout bounds the wait for a whole suite.
const readyTimeout = time.Minute

// store is the folder in options.dir in which NATS has its files.
const store = "nats1"

// options are what a measurement chooses.
type options struct {
	bin        string // folder of the programs
	dir        string // of logs and of NATS's files
	edges      int
	rooms      int      // instances of room
	durability string   // fast, or durable: NATS then flushes before it acknowledges
	tls        bool     // edges speak TLS, with a certificate made for them
	env        []string // more settings of all services
	edgeEnv    []string // more settings of the edges
}

// start starts a suite and waits until it is ready. On an error no process is left.
func start(ctx context.Context, o options) (*cluster.Cluster, suite, error) {
	s := suite{Secret: rand.Text() + rand.Text()}
	edgeEnv := o.edgeEnv
	if o.tls {
		cert, key, err := certify(o.dir)
		if err != nil {
			return nil, s, err
		}
		s.CA = cert
		edgeEnv = append([]string{"CONFAB_EDGE_TLS_CERT_FILE=" + cert, "CONFAB_EDGE_TLS_KEY_FILE=" + key}, edgeEnv...)
	}
	env := []string{
		"CONFAB_AUTH_HMAC_SECRET=" + s.Secret, "CONFAB_LIMIT_MESSAGES=0", "CONFAB_LIMIT_JOINS=0", "CONFAB_LIMIT_TYPING=0",
		"CONFAB_PRESENCE_SCOPE=rooms", "CONFAB_LOG_LEVEL=warn", "CONFAB_DURABILITY=" + o.durability,
	}
	for _, name := range []string{"GOMAXPROCS", "GOGC", "GOMEMLIMIT", "GODEBUG"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	c, err := cluster.New(cluster.Options{Bin: o.bin, Dir: o.dir, Env: append(env, o.env...), Fast: o.durability != "durable"})
	if err != nil {
		return nil, s, err
	}
	names := []string{"nats1", "ratelimit1", "monitor1"}
	for i := range max(1, o.rooms) {
		names = append(names, fmt.Sprint("room", i+1))
	}
	for i := range max(1, o.edges) {
		names = append(names, fmt.Sprint("edge", i+1))
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if s.Processes, err = startAll(ctx, c, names, edgeEnv); err != nil {
		return nil, s, errors.Join(err, c.Close())
	}
	return c, s, nil
}

// startAll starts the processes called names and waits until they are ready.
func startAll(ctx context.Context, c *cluster.Cluster, names, edgeEnv []string) (started []member, err error) {
	for _, name := range names {
		p, err := c.Part(name)
		if err != nil {
			return nil, err
		}
		if p.Service == "edge" {
			p.Env = edgeEnv
		}
		if err := c.Start(name); err != nil {
			return nil, err
		}
		m := member{Name: p.Service, Pid: p.Running.PID(), Admin: p.Admin}
		if p.Service != "room" && p.Service != "ratelimit" { // these have no clients
			m.Addr = p.Public
		}
		started = append(started, m)
	}
	for _, name := range names {
		if err := c.WaitReady(ctx, name); err != nil {
			return nil, err
		}
	}
	return started, nil
}

// removeStore removes what NATS has stored in dir.
func removeStore(dir string) error { return os.RemoveAll(filepath.Join(dir, store)) }
