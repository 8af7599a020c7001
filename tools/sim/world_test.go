package sim_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge"
	"github.com/confab-chat/confab/services/monitor"
	"github.com/confab-chat/confab/services/ratelimit"
	"github.com/confab-chat/confab/services/room"
	"github.com/confab-chat/confab/shared/admin"
	"github.com/confab-chat/confab/shared/config"
	"github.com/confab-chat/confab/shared/heartbeat"
	"github.com/confab-chat/confab/shared/lifecycle"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/shared/telemetry"
	"github.com/confab-chat/confab/tools/internal/histories"
)

const (
	secret = "a secret for simulated users only"
	// messageLimit is the number of messages a user may send in a minute.
	messageLimit = 20
)

// environment is that of every service.
var environment = []string{
	"CONFAB_AUTH_HMAC_SECRET=" + secret, "CONFAB_EDGE_IO=goroutine", "CONFAB_EDGE_LOOPS=2", "CONFAB_DURABILITY=fast",
	"CONFAB_LOG_STREAMS=2", fmt.Sprint("CONFAB_LIMIT_MESSAGES=", messageLimit), "CONFAB_LIMIT_JOINS=0", "CONFAB_LIMIT_TYPING=0",
}

// world is a running suite and its clients. It is used by the goroutine of the test, except
// where a field says otherwise.
type world struct {
	*testing.T
	nats    *natstest.Server
	names   []string // of the processes, in the order of their start
	process map[string]*process
	clients []*client
	history *histories.Recorder // concurrently
	probe   *probe
	start   time.Time
	ctx     context.Context    // of clients and probe
	stop    context.CancelFunc // ends it
	running sync.WaitGroup     // of them

	mu    sync.Mutex // guards the following
	found []string   // violations
	log   strings.Builder
}

// process is one service that can be stopped, killed and started again.
type process struct {
	world *world
	name  string
	run   func(context.Context, lifecycle.Deps) error
	// Of the current start; up is false while there is none.
	starts int
	up     bool
	gate   *gate
	stop   context.CancelFunc
	ended  chan struct{}
	killed bool // what it returns does not matter

	mu     sync.Mutex // guards the following
	public *listener  // nil: the process does not listen
}

// load reads the settings of a service.
func load[C any](t *testing.T) C {
	t.Helper()
	c, err := config.Load[C](environment)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newWorld starts the suite and waits until it is ready.
func newWorld(t *testing.T) *world {
	w := &world{T: t, process: make(map[string]*process), history: histories.NewRecorder(), start: time.Now()}
	w.nats = natstest.Start(t, func(o *server.Options) { // as deploy/nats/nats.conf
		o.WriteDeadline, o.PingInterval, o.MaxPingsOut = 5*time.Second, 5*time.Second, 2
	})
	edgeConfig, roomConfig, limitConfig, monitorConfig := load[edge.Config](t), load[room.Config](t), load[ratelimit.Config](t), load[monitor.Config](t)
	for _, p := range []*process{
		{name: "monitor1", run: func(ctx context.Context, d lifecycle.Deps) error { return monitor.Run(ctx, monitorConfig, d) }},
		{name: "ratelimit1", run: func(ctx context.Context, d lifecycle.Deps) error { return ratelimit.Run(ctx, limitConfig, d) }},
		{name: "ratelimit2", run: func(ctx context.Context, d lifecycle.Deps) error { return ratelimit.Run(ctx, limitConfig, d) }},
		{name: "room1", run: func(ctx context.Context, d lifecycle.Deps) error { return room.Run(ctx, roomConfig, d) }},
		{name: "room2", run: func(ctx context.Context, d lifecycle.Deps) error { return room.Run(ctx, roomConfig, d) }},
		{name: "edge1", run: func(ctx context.Context, d lifecycle.Deps) error { return edge.Run(ctx, edgeConfig, d) }},
		{name: "edge2", run: func(ctx context.Context, d lifecycle.Deps) error { return edge.Run(ctx, edgeConfig, d) }},
	} {
		p.world = w
		w.names = append(w.names, p.name)
		w.process[p.name] = p
		p.start()
	}
	return w
}

// close ends the clients and all processes.
func (w *world) close() {
	w.stop()
	w.running.Wait()
	for i := len(w.names) - 1; i >= 0; i-- {
		w.process[w.names[i]].end()
	}
}

// violation records what must not have happened.
func (w *world) violation(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found = append(w.found, fmt.Sprintf(format, args...))
}

// Write implements io.Writer: it keeps what the services log.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

// service is the kind of a process.
func (p *process) service() string { return strings.TrimRight(p.name, "0123456789") }

// start starts the process unless it runs.
func (p *process) start() {
	if p.up {
		return
	}
	p.starts++
	instance := fmt.Sprintf("%s-%d", p.name, p.starts)
	tel, err := telemetry.New(p.world.Context(), telemetry.Options{
		Service: p.service(), Instance: instance, Log: p.world, LogLevel: slog.LevelInfo, NoMetrics: true,
	})
	if err != nil {
		p.world.Fatal(err)
	}
	gate := &gate{Gate: natstest.NewGate(p.world, p.world.nats)}
	ctx, cancel := context.WithCancel(context.Background())
	p.up, p.killed, p.gate, p.stop, p.ended = true, false, gate, cancel, make(chan struct{})
	deps := lifecycle.Deps{
		Identity: lifecycle.Identity{Service: p.service(), Instance: instance, Gen: heartbeat.NewGen(time.Now()), Version: "sim"},
		NATS:     gate, Telemetry: tel, Admin: admin.New(),
		OpenListener: func(string, string) (net.Listener, error) {
			ln := newListener()
			p.setPublic(ln)
			return ln, nil
		},
	}
	ended := p.ended
	go func() { // end waits for it
		defer close(ended)
		if err := p.run(ctx, deps); err != nil && !p.killed {
			p.world.violation("%s ended with an error: %v", p.name, err)
		}
	}()
}

func (p *process) setPublic(ln *listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.public = ln
}

func (p *process) listener() *listener {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.public
}

// end stops the process as SIGTERM does, and waits for its end.
func (p *process) end() {
	if !p.up {
		return
	}
	p.stop()
	<-p.ended
	p.down()
}

// kill ends the process as SIGKILL does: from now on nothing that it does is seen.
func (p *process) kill() {
	if !p.up {
		return
	}
	p.killed = true
	p.gate.Cut()
	if ln := p.listener(); ln != nil {
		ln.kill()
	}
	p.stop()
	<-p.ended
	p.down()
}

func (p *process) down() {
	p.up = false
	if ln := p.listener(); ln != nil {
		ln.kill()
	}
	p.setPublic(nil)
}

// dial connects to the public listener of a process.
func (w *world) dial(ctx context.Context, name string) (net.Conn, error) {
	ln := w.process[name].listener()
	if ln == nil {
		return nil, net.ErrClosed
	}
	return ln.DialContext(ctx)
}

// http returns a client of a process's public listener.
func (w *world) http(name string) *http.Client {
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return w.dial(ctx, name) },
	}}
}

// edges are the processes that clients connect to.
func (w *world) edges() (names []string) {
	for _, name := range w.names {
		if w.process[name].service() == wire.ServiceEdge {
			names = append(names, name)
		}
	}
	return names
}

// background runs f until the clients end.
func (w *world) background(f func(context.Context)) { w.running.Go(func() { f(w.ctx) }) }

// endViews records that the connected clients must have received every message.
func (w *world) endViews() {
	for _, c := range w.clients {
		online, rooms, conn := c.state()
		for _, room := range rooms {
			if online && conn != nil && conn.in(room) {
				w.history.Add(histories.Event{Kind: histories.End, Client: conn.view(room), Room: room})
			}
		}
	}
}
