//go:build linux

package scenario

import (
	"time"

	"github.com/confab-chat/confab/tools/bench/internal/report"
	"github.com/confab-chat/confab/tools/bench/internal/stamp"
)

// measure is one run: warm up, measure, and wait for what is on its way.
func (f *fanout) measure() (report.Result, error) {
	f.schedule = newSchedule(stamp.Now(), f.Rate, f.Burst)
	f.deliver, f.ack, f.acks = newLatencies(), newLatencies(), 0
	f.from, f.until = never, never
	if err := f.run(f.Warm, "warming"); err != nil {
		return report.Result{}, err
	}
	before, err := f.readMeter()
	if err != nil {
		return report.Result{}, err
	}
	f.from = stamp.Now()
	got, sent, shed, stats := f.got, f.sent, f.shed, f.loop.Stats
	if err := f.run(f.Duration, "measuring"); err != nil {
		return report.Result{}, err
	}
	f.until = stamp.Now()
	after, err := f.readMeter()
	if err != nil {
		return report.Result{}, err
	}
	got, sent, shed = f.got-got, f.sent-sent, f.shed-shed
	reads, frames := f.loop.Stats.Reads-stats.Reads, f.loop.Stats.Frames-stats.Frames
	if err := f.awaitDeliveries(); err != nil {
		return report.Result{}, err
	}
	r := f.newResult()
	f.addSetup(&r.Setup)
	seconds := after.at.Sub(before.at).Seconds()
	r.Figures.Add("messages_per_s", float64(sent)/seconds, "/s")
	r.Figures.Add("deliveries_per_s", float64(got)/seconds, "/s")
	f.addCPU(&r.Figures, before, after, "deliveries", float64(got))
	r.Figures.Add("acks_per_s", float64(f.acks)/seconds, "/s")
	addLatency(&r.Figures, "deliver", f.deliver)
	addLatency(&r.Figures, "ack", f.ack)
	r.Figures.Add("frames_per_read", float64(frames)/float64(max(1, reads)), "")
	r.Figures.Add("shed", float64(shed), "")
	f.addLosses(&r.Figures)
	r.Note = f.note()
	return r, nil
}

// awaitDeliveries waits until every member has every accepted message, for at most Patience.
func (f *fanout) awaitDeliveries() error {
	for end := time.Now().Add(f.Patience); time.Now().Before(end) && f.inFlight(); {
		f.loop.Poll(5 * time.Millisecond)
		f.showProgress("draining", "%d delivered", f.got)
		if err := f.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// inFlight reports whether a delivery or a reply has not come yet.
func (f *fanout) inFlight() bool {
	for i := range f.rooms {
		if f.rooms[i].owed > 0 || f.rooms[i].answered < f.rooms[i].sent {
			return true
		}
	}
	return false
}

func (f *fanout) addSetup(setup *report.Figures) {
	setup.Add("rooms", float64(f.Rooms), "")
	setup.Add("members", float64(f.Members), "")
	setup.Add("publishers", float64(f.Publishers), "")
	setup.Add("bytes", float64(f.Size), "")
	if f.Rate > 0 {
		setup.Add("rate", f.Rate, "/s")
		setup.Add("burst", float64(f.Burst), "")
	} else {
		setup.Add("window", float64(f.Window), "")
	}
	if f.stalled > 0 {
		setup.Add("stalled", float64(f.stalled), "")
	}
}

// addLosses adds, since the members were opened: accepted messages that a member did not
// get; those that came twice or, with one publisher in a room, out of order; those without
// a reply.
func (f *fanout) addLosses(figures *report.Figures) {
	var missing, unanswered int64
	for i := range f.rooms {
		room := &f.rooms[i]
		for _, m := range room.members {
			missing += max(0, int64(room.accepted)-int64(m.Got))
		}
		unanswered += int64(room.sent - room.answered)
	}
	figures.Add("missing", float64(missing), "")
	figures.Add("out_of_order", float64(f.outOfOrder), "")
	figures.Add("refused", float64(f.refused), "")
	figures.Add("unanswered", float64(unanswered), "")
	figures.Add("disconnected", float64(f.disconnected), "")
}
