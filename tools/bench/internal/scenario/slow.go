//go:build linux

package scenario

import (
	"context"

	"github.com/confab-chat/confab/tools/bench/internal/clients"
	"github.com/confab-chat/confab/tools/bench/internal/report"
)

// Slow is Fanout twice with the same members: alone, and then beside Stalled further
// members that never read. Each run has these two results; the second has the quotient of
// their latencies, which is what the others pay for slow consumers. It uses what Fanout
// does.
func Slow(ctx context.Context, o Options) (results []report.Result, err error) {
	f, err := newFanout(ctx, o)
	if err != nil {
		return nil, err
	}
	defer f.loop.Close()
	for range o.Runs {
		alone, err := f.measure()
		if err != nil {
			return results, err
		}
		results = append(results, alone)
		beside, err := f.measureBesideStalled()
		if err != nil {
			return results, err
		}
		for _, q := range []string{"p50", "p99"} {
			without, _ := alone.Figures.Get("deliver_" + q + "_ms")
			with, _ := beside.Figures.Get("deliver_" + q + "_ms")
			beside.Figures.Add("deliver_"+q+"_to_without", with/without, "x")
		}
		results = append(results, beside)
	}
	return results, nil
}

// measureBesideStalled measures with stalled members, and closes those that the server has
// not disconnected.
func (f *fanout) measureBesideStalled() (report.Result, error) {
	var deaf []*clients.Conn
	members := f.joined
	if err := f.openAll(f.Stalled, func(i int, c *clients.Conn) {
		c.Room = int32(i % f.Rooms)
		c.Got = stalled
		deaf = append(deaf, c)
	}); err != nil {
		return report.Result{}, err
	}
	if err := f.awaitJoins(members + f.Stalled); err != nil {
		return report.Result{}, err
	}
	f.stalled, f.disconnected = f.Stalled, 0
	r, err := f.measure()
	for _, c := range deaf {
		c.Abort()
	}
	f.stalled, f.disconnected, f.joined = 0, 0, members
	return r, err
}
