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
	// drainStep is the time between two batches of closed connections.
	drainStep = 100 * time.Millisecond
	// closeWait is how long the last connections may take to close; then the loops end
	// them.
	closeWait = 3 * time.Second
	// lostCheck is the interval of the check for a lost NATS.
	lostCheck = time.Second
)

// Phases of a drain.
const (
	serving int32 = iota
	draining
	closing
)

// drainer disconnects the clients when the edge stops, and when NATS has been lost
// for longer than CONFAB_EDGE_NATS_LOST_CLOSE.
type drainer struct {
	edge  *edge // static
	phase atomic.Int32
}

// run drains when ctx ends. It returns when no client is left or time is up.
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

// drain disconnects all clients. /readyz fails already. During the delay new clients
// are still accepted, because load balancers need a while to notice; after it they
// are refused, and the connected ones are asked to reconnect within the window.
func (d *drainer) drain(ctx context.Context) {
	e := d.edge
	d.phase.Store(draining)
	e.log.Info("draining", "event", "edge.draining", "delay_s", e.cfg.DrainDelay.Seconds(), "window_s", e.cfg.DrainWindow.Seconds(), "connections", e.hub.ConnCount())
	time.Sleep(e.cfg.DrainDelay)
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

// closeAll closes the connections evenly over the window, and waits until they have
// closed.
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

// closeSome closes a share of the loop's open connections. With few connections the
// share rounds to zero at first, which leaves them time to close on their own.
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

// checkNATS disconnects all clients when NATS has been lost for too long: another edge
// may still serve them.
func (d *drainer) checkNATS(ctx context.Context) {
	e := d.edge
	most := e.cfg.NATSLostClose
	if most == 0 || e.status.State().LostFor(time.Now()) < most || e.hub.ConnCount() == 0 {
		return
	}
	e.log.Warn("NATS lost for too long, closing connections", "event", "edge.nats_lost", "connections", e.hub.ConnCount())
	d.closeAll(ctx, e.cfg.DrainWindow)
}
