package poll

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"time"
)

// Mode says how the loops wait for their connections.
type Mode string

const (
	Auto      Mode = "auto"      // Epoll where it exists, else Goroutine
	Epoll     Mode = "epoll"     // Linux only
	Goroutine Mode = "goroutine" // everywhere
)

// Options configure a Group. The zero value is usable.
type Options struct {
	Loops int           // number of loops; default GOMAXPROCS
	Mode  Mode          // default Auto
	Tick  time.Duration // resolution of timers; default 1 s
	// SendBuffer is the kernel's send buffer of an accepted connection in
	// bytes; default 128 KiB, negative leaves the system's. The system would
	// let it grow to 4 MB before we notice that a client does not read.
	SendBuffer int
	Logger     *slog.Logger // default discards
}

func (o Options) withDefaults() Options {
	o.Loops = cmp.Or(o.Loops, runtime.GOMAXPROCS(0))
	o.Mode = cmp.Or(o.Mode, Auto)
	o.Tick = cmp.Or(o.Tick, time.Second)
	o.SendBuffer = cmp.Or(o.SendBuffer, 128<<10)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	return o
}

// Group is a set of loops. Listen and Attach may be called from any goroutine,
// before and during Run.
type Group struct {
	// Static.
	options Options
	loops   []*Loop
	wg      sync.WaitGroup // goroutines of pumps and acceptors

	mu        sync.Mutex // guards the following
	listeners map[io.Closer]struct{}
	done      bool
}

// New makes the loops; nothing runs before Run. It returns an error when the
// mode is unknown or the system has no more descriptors.
func New(o Options) (*Group, error) {
	o = o.withDefaults()
	g := &Group{options: o, listeners: make(map[io.Closer]struct{})}
	for i := range o.Loops {
		l := newLoop(i, o, g)
		p, err := newPoller(o.Mode, l)
		if err != nil {
			g.closePollers()
			return nil, fmt.Errorf("make event loop: %w", err)
		}
		l.poller = p
		g.loops = append(g.loops, l)
	}
	return g, nil
}

// Loops returns the loops, in the order of their indexes.
func (g *Group) Loops() []*Loop { return g.loops }

// Epoll reports whether sockets are driven by epoll, and not by goroutines.
func (g *Group) Epoll() bool {
	_, sleeps := g.loops[0].poller.(*sleeper)
	return !sleeps
}

// Run turns the loops until ctx ends, then closes the listeners, ends every remaining
// connection with ErrStopped, and returns when all goroutines of the group have ended. It
// must be called once.
func (g *Group) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	for _, l := range g.loops {
		loops.Go(l.run)
	}
	<-ctx.Done()
	err := g.closeListeners()
	for _, l := range g.loops {
		l.Post(l.stop)
	}
	loops.Wait()
	g.wg.Wait()
	g.closePollers()
	return err
}

// Listen accepts connections from ln, which the group owns from here on, for the loops.
// Closing the result stops that; accepted connections stay.
func (g *Group) Listen(ln net.Listener, accept Acceptor) (io.Closer, error) {
	c, err := g.listen(ln, accept)
	if err != nil {
		return nil, fmt.Errorf("listen on event loops: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.done {
		return nil, errors.Join(ErrStopped, c.Close())
	}
	g.listeners[c] = struct{}{}
	return c, nil
}

// Attach adds an open connection to the least loaded loop, as the inverse of Detach. It
// closes nc if it fails.
func (g *Group) Attach(nc net.Conn, accept Acceptor) error {
	return g.leastLoaded().Attach(nc, accept)
}

// Attach is Group.Attach for this loop. It may be called concurrently.
func (l *Loop) Attach(nc net.Conn, accept Acceptor) error {
	if err := l.attach(nc, accept); err != nil {
		nc.Close()
		return fmt.Errorf("attach connection: %w", err)
	}
	return nil
}

func (g *Group) leastLoaded() *Loop {
	best := g.loops[0]
	for _, l := range g.loops[1:] {
		if l.conns.Load() < best.conns.Load() {
			best = l
		}
	}
	return best
}

func (g *Group) closeListeners() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.done = true
	var errs []error
	for c := range g.listeners {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

func (g *Group) closePollers() {
	for _, l := range g.loops {
		l.poller.close()
	}
}
