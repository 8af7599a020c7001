//go:build linux

package scenario

import (
	"context"
	"time"

	"github.com/confab-chat/confab/tools/bench/internal/clients"
	"github.com/confab-chat/confab/tools/bench/internal/report"
)

// Idle opens Connections, each in a room of Members unless that is 0, and compares the
// server's memory before and after. It uses AtOnce and Settle.
func Idle(ctx context.Context, o Options) ([]report.Result, error) {
	l, err := newLoad(ctx, o)
	if err != nil {
		return nil, err
	}
	defer l.loop.Close()
	if l.joinOnOpen = o.Members > 0; l.joinOnOpen {
		l.onOpen = func(c *clients.Conn) { l.join(c, l.roomName(int(c.Number)/o.Members), -1) }
	}
	empty, err := l.readMeter()
	if err != nil {
		return nil, err
	}
	if err := l.openAll(o.Connections, nil); err != nil {
		return nil, err
	}
	if l.joinOnOpen {
		if err := l.awaitJoins(o.Connections); err != nil {
			return nil, err
		}
	}
	full, err := l.readMeter()
	if err != nil {
		return nil, err
	}
	if err := l.stayIdle(o.Settle); err != nil {
		return nil, err
	}
	idle, err := l.readMeter()
	if err != nil {
		return nil, err
	}
	r := l.newResult()
	r.Setup.Add("connections", float64(o.Connections), "")
	r.Setup.Add("room_of", float64(o.Members), "")
	n := float64(o.Connections)
	for i, g := range o.Groups {
		r.Figures.Add("rss_per_connection_"+g.Name, (idle.groups[i].RSS-empty.groups[i].RSS)/n, "B")
		r.Figures.Add("anonymous_per_connection_"+g.Name, (idle.groups[i].Anonymous-empty.groups[i].Anonymous)/n, "B")
	}
	r.Figures.Add("kernel_per_connection_both_ends", (idle.machine.Kernel-empty.machine.Kernel)/n, "B")
	r.Figures.Add("handshakes_per_s", n/full.at.Sub(empty.at).Seconds(), "/s")
	l.addCPU(&r.Figures, empty, full, "handshakes", n)
	l.addLoad(&r.Figures, full, idle, "cpu_idle_")
	r.Figures.Add("open", float64(l.loop.Stats.Open), "")
	r.Note = l.note()
	return []report.Result{r}, nil
}

// stayIdle answers pings for d, and sends nothing else.
func (l *load) stayIdle(d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end); {
		l.loop.Poll(50 * time.Millisecond)
		l.showProgress("idle", "%d open", l.loop.Stats.Open)
		if err := l.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}
