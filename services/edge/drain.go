package edge

import (
	"context"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
)

const (
	// drainStep is the time between two portions of connections that are closed.
	drainStep = 100 * time.Millisecond
	// closeWait is how long the last ones may take to close; then the loops end them.
	closeWait = 3 * time.Second
	// lostCheck is how often it is looked whether NATS has been away for too long.
	lostCheck = time.Second
)

// Phases of a drain.
const (
	serving int32 = iota
	draining
	closing
)

// drainer lets the clients go when the edge stops, and when it has been cut off from
// NATS for longer than it may keep them.
type drainer struct {
	edge  *edge // static
	phase atomic.Int32
}

func newDrainer(e *edge) *drainer { return &drainer{edge: e} }

// run waits for the end, and then returns when nobody is left, or time is up.
func (d *drainer) run(ctx context.Context) error {
	tick := time.NewTicker(lostCheck)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.checkNATS(ctx)
		case <-ctx.Done():
			d.drain(context.WithoutCancel(ctx))
			return nil
		}
	}
}

// drain: the probe fails already. New clients are welcome for the delay, because
// load balancers take a while; then they are told to come later, and those who are
// here to move within the window.
func (d *drainer) drain(ctx context.Context) {
	e := d.edge
	d.phase.Store(draining)
	e.log.Info("draining", "event", "edge.drain", "delay_s", e.cfg.DrainDelay.Seconds(), "window_s", e.cfg.DrainWindow.Seconds(), "connections", e.hub.ConnCount())
	pause(ctx, e.cfg.DrainDelay)
	e.server.Drain()
	window := e.cfg.DrainWindow
	e.hub.OnEachLoop(func(l *hub.Local) {
		for _, c := range l.Clients() {
			soon := event.ReconnectSoon{Reason: "draining", AfterMs: uint64(rand.Int64N(window.Milliseconds() + 1))}
			l.SendEvent(c, event.NameReconnectSoon, soon.AppendJSON(nil), conn.Reply)
		}
	})
	d.phase.Store(closing)
	d.closeAll(ctx, window)
	e.log.Info("drained", "event", "edge.drained", "left", e.hub.ConnCount())
}

// closeAll closes the connections evenly over the window, and waits for them to end.
func (d *drainer) closeAll(ctx context.Context, window time.Duration) {
	tick := time.NewTicker(drainStep)
	defer tick.Stop()
	end := time.Now().Add(window)
	for d.edge.hub.ConnCount() > 0 {
		left := time.Until(end)
		if left < -closeWait {
			return
		}
		share := 1.0
		if left > drainStep {
			share = float64(drainStep) / float64(left)
		}
		d.edge.hub.OnEachLoop(func(l *hub.Local) { closeSome(l, share) })
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// closeSome closes a share of the loop's connections that are not closing yet. Few
// connections get a share of none at first: they may go by themselves.
func closeSome(l *hub.Local, share float64) {
	open := 0
	for _, c := range l.Clients() {
		if !c.Closing() {
			open++
		}
	}
	n := int(math.Round(share * float64(open)))
	for _, c := range l.Clients() {
		if n == 0 {
			return
		}
		if c.Close(code.CloseRestart) {
			n--
		}
	}
}

// checkNATS lets everybody go when NATS has been away for too long: elsewhere they
// may be served.
func (d *drainer) checkNATS(ctx context.Context) {
	e := d.edge
	most := e.cfg.NATSLostClose
	if most == 0 || e.status.State().LostFor(time.Now()) < most || e.hub.ConnCount() == 0 {
		return
	}
	e.log.Warn("cut off from NATS for too long: closing connections", "event", "edge.cutoff", "connections", e.hub.ConnCount())
	d.closeAll(ctx, e.cfg.DrainWindow)
}

// pause waits for d, or for ctx.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
