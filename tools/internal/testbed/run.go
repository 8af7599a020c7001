package testbed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// patience bounds the wait for a process to be ready.
	patience = 60 * time.Second
	// farewell is what a process has to end by itself.
	farewell = 15 * time.Second
)

// Store is where NATS has its files, in Options.Dir.
const Store = "nats"

// Options are what Start starts.
type Options struct {
	Bin        string // folder of the binaries, see Build
	Dir        string // of the logs and of NATS's files
	Edges      int
	Rooms      int      // instances of room
	Durability string   // fast, or durable: NATS then flushes before it acknowledges
	TLS        bool     // edges speak it, with a certificate made for them
	Env        []string // further settings, of all services
	EdgeEnv    []string // of the edges alone
}

// Bed is a running suite. Close may be called from any goroutine, the rest only by
// its owner.
type Bed struct {
	Suite Suite

	options Options
	nats    string
	keyFile string     // of Suite.CA
	mu      sync.Mutex // guards running
	running []*child
}

type child struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has been waited for
}

// Start starts everything and waits until it is ready. On an error nothing is left.
func Start(ctx context.Context, o Options) (*Bed, error) {
	b := &Bed{options: o, Suite: Suite{Secret: rand.Text() + rand.Text()}}
	if err := b.startAll(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *Bed) startAll(ctx context.Context) error {
	if b.options.TLS {
		var err error
		if b.Suite.CA, b.keyFile, err = Certify(b.options.Dir); err != nil {
			return err
		}
	}
	if err := b.startNATS(); err != nil {
		return err
	}
	names := []string{"ratelimit", "monitor"}
	for range max(1, b.options.Rooms) {
		names = append(names, "room")
	}
	for range max(1, b.options.Edges) {
		names = append(names, "edge")
	}
	for _, name := range names {
		if err := b.startService(name); err != nil {
			return err
		}
	}
	for _, p := range b.Suite.Processes {
		if err := b.ready(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// free is an address that nobody uses at the moment.
func free() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

func (b *Bed) startNATS() error {
	addr, err := free()
	if err != nil {
		return err
	}
	b.nats = addr
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	sync := "2m"
	if b.options.Durability == "durable" {
		sync = "always"
	}
	config := filepath.Join(b.options.Dir, "nats.conf")
	text := fmt.Sprintf("listen: 127.0.0.1:%s\nserver_name: testbed\njetstream { store_dir: %q, sync_interval: %s }\n", port, filepath.Join(b.options.Dir, Store), sync)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	return b.spawn(Process{Name: "nats", Addr: addr}, "nats-server", nil, "-c", config)
}

func (b *Bed) startService(name string) error {
	addr, err := free()
	if err != nil {
		return err
	}
	admin, err := free()
	if err != nil {
		return err
	}
	env := []string{
		"CONFAB_NATS_URL=nats://" + b.nats, "CONFAB_ADMIN_ADDR=" + admin, "CONFAB_AUTH_HMAC_SECRET=" + b.Suite.Secret,
		"CONFAB_LIMIT_MESSAGES=0", "CONFAB_LIMIT_JOINS=0", "CONFAB_LIMIT_TYPING=0", "CONFAB_PRESENCE_SCOPE=rooms",
		"CONFAB_LOG_LEVEL=warn", "CONFAB_DURABILITY=" + b.options.Durability,
	}
	p := Process{Name: name, Admin: admin}
	switch name {
	case "edge":
		env, p.Addr = append(env, "CONFAB_EDGE_ADDR="+addr), addr
		if b.options.TLS {
			env = append(env, "CONFAB_EDGE_TLS_CERT_FILE="+b.Suite.CA, "CONFAB_EDGE_TLS_KEY_FILE="+b.keyFile)
		}
		env = append(env, b.options.EdgeEnv...)
	case "monitor":
		env, p.Addr = append(env, "CONFAB_MONITOR_ADDR="+addr), addr
	}
	return b.spawn(p, name, append(env, b.options.Env...))
}

// spawn starts a binary with nothing in its environment but env.
func (b *Bed) spawn(p Process, binary string, env []string, args ...string) error {
	n := len(b.Suite.Named(p.Name)) + 1
	log, err := os.Create(filepath.Join(b.options.Dir, p.Name+strconv.Itoa(n)+".log"))
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	c := &child{name: p.Name, cmd: exec.Command(filepath.Join(b.options.Bin, binary), args...), ended: make(chan struct{})}
	c.cmd.Env, c.cmd.Dir, c.cmd.Stdout, c.cmd.Stderr = env, b.options.Dir, log, log
	for _, name := range []string{"GOMAXPROCS", "GOGC", "GOMEMLIMIT", "GODEBUG"} {
		if v, ok := os.LookupEnv(name); ok {
			c.cmd.Env = append(c.cmd.Env, name+"="+v)
		}
	}
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	go func() { defer close(c.ended); _ = c.cmd.Wait() }() // Close waits for it
	p.Pid = c.cmd.Process.Pid
	b.Suite.Processes = append(b.Suite.Processes, p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running = append(b.running, c)
	return nil
}

// ready waits until a process says that it can work.
func (b *Bed) ready(ctx context.Context, p Process) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := probe(ctx, p)
		if err == nil {
			return nil
		}
		select {
		case <-b.end(p.Pid):
			return fmt.Errorf("%s has ended; see its log in %s", p.Name, b.options.Dir)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", p.Name, errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

func (b *Bed) end(pid int) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.running {
		if c.cmd.Process.Pid == pid {
			return c.ended
		}
	}
	return nil
}

func probe(ctx context.Context, p Process) error {
	if p.Admin == "" {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.Addr)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Admin+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // for the message only
	return fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(body)))
}

// Close ends what was started last first, and waits for it. A process that does not
// end by itself is killed, which is an error.
func (b *Bed) Close() error {
	b.mu.Lock()
	running := b.running
	b.running = nil
	b.mu.Unlock()
	var errs []error
	for i := len(running) - 1; i >= 0; i-- {
		c := running[i]
		_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case <-c.ended:
		case <-time.After(farewell):
			_ = c.cmd.Process.Kill()
			<-c.ended
			errs = append(errs, fmt.Errorf("%s had to be killed", c.name))
		}
	}
	return errors.Join(errs...)
}
