package scenario

import (
	"context"

	"github.com/confab-chat/confab/tools/chatload/internal/crowd"
	"github.com/confab-chat/confab/tools/chatload/internal/report"
)

// Slow is Fanout twice with the same members: alone, and then with Stalled further
// members that never read. What the healthy ones lose by it is the quotient of their
// latencies. Of each run the first result is without. It uses what Fanout does.
func Slow(ctx context.Context, o Options) (results []report.Result, err error) {
	f, err := newFanout(ctx, o)
	if err != nil {
		return nil, err
	}
	defer f.crowd.Close()
	for range max(1, o.Runs) {
		alone, err := f.measure(o.Rate)
		if err != nil {
			return results, err
		}
		results = append(results, alone)
		beside, err := f.measureBeside()
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

// measureBeside measures with stalled members, who are gone afterwards: those that the
// server has thrown out, and those that it has not.
func (f *fanout) measureBeside() (report.Result, error) {
	var deaf []*crowd.Conn
	members := f.joined
	if err := f.open(f.Stalled, func(i int, c *crowd.Conn) {
		c.Room = int32(i % f.Rooms)
		c.Got = stalled
		deaf = append(deaf, c)
	}); err != nil {
		return report.Result{}, err
	}
	if err := f.allJoined(members + f.Stalled); err != nil {
		return report.Result{}, err
	}
	f.stalled, f.lost = f.Stalled, 0
	r, err := f.measure(f.Rate)
	for _, c := range deaf {
		c.HangUp()
	}
	f.stalled, f.lost, f.joined = 0, 0, members
	return r, err
}
