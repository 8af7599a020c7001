package scenario

import (
	"time"

	"github.com/confab-chat/confab/tools/chatload/internal/pacing"
	"github.com/confab-chat/confab/tools/chatload/internal/report"
	"github.com/confab-chat/confab/tools/chatload/internal/stamp"
)

// measure is one run: warm up, measure, and wait for what is on its way.
func (f *fanout) measure(rate float64) (report.Result, error) {
	f.Rate = rate
	f.schedule = pacing.New(stamp.Now(), rate, f.Burst)
	f.deliver, f.ack, f.acks = latencies(), latencies(), 0
	f.from, f.until = 1<<62, 1<<62
	if err := f.run(f.Warm, "warming"); err != nil {
		return report.Result{}, err
	}
	before, err := f.read()
	if err != nil {
		return report.Result{}, err
	}
	f.from = stamp.Now()
	got, sent, shed, stats := f.got, f.sent, f.shed, f.crowd.Stats
	if err := f.run(f.Duration, "measuring"); err != nil {
		return report.Result{}, err
	}
	f.until = stamp.Now()
	after, err := f.read()
	if err != nil {
		return report.Result{}, err
	}
	got, sent, shed = f.got-got, f.sent-sent, f.shed-shed
	reads, frames := f.crowd.Stats.Reads-stats.Reads, f.crowd.Stats.Frames-stats.Frames
	if err := f.drain(); err != nil {
		return report.Result{}, err
	}
	r := f.setup()
	seconds := after.at.Sub(before.at).Seconds()
	r.Figures.Add("messages_per_s", float64(sent)/seconds, "/s")
	r.Figures.Add("deliveries_per_s", float64(got)/seconds, "/s")
	f.addCPU(&r.Figures, before, after, "deliveries", float64(got))
	r.Figures.Add("acks_per_s", float64(f.acks)/seconds, "/s")
	addLatency(&r.Figures, "deliver", f.deliver)
	addLatency(&r.Figures, "ack", f.ack)
	r.Figures.Add("frames_per_read", float64(frames)/float64(max(1, reads)), "")
	r.Figures.Add("shed", float64(shed), "")
	f.addLosses(&r)
	return r, nil
}

// drain waits until every member has what was accepted.
func (f *fanout) drain() error {
	for end := time.Now().Add(f.Patience); time.Now().Before(end) && f.onTheWay(); {
		f.crowd.Poll(5 * time.Millisecond)
		f.line.show("draining", "%d delivered", f.got)
		if err := f.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (f *fanout) onTheWay() bool {
	for i := range f.rooms {
		if f.rooms[i].owed > 0 || f.rooms[i].answered < f.rooms[i].sent {
			return true
		}
	}
	return false
}

func (f *fanout) setup() report.Result {
	r := f.result()
	r.Setup.Add("rooms", float64(f.Rooms), "")
	r.Setup.Add("members", float64(f.Members), "")
	r.Setup.Add("publishers", float64(f.Publishers), "")
	r.Setup.Add("bytes", float64(f.Size), "")
	if f.Rate > 0 {
		r.Setup.Add("rate", f.Rate, "/s")
		r.Setup.Add("burst", float64(max(1, f.Burst)), "")
	} else {
		r.Setup.Add("window", float64(f.Window), "")
	}
	if f.stalled > 0 {
		r.Setup.Add("stalled", float64(f.stalled), "")
	}
	return r
}

// addLosses counts since the members were opened: an accepted message that a member
// has not got, one that came twice or (with one publisher a room) out of order, one
// without an answer.
func (f *fanout) addLosses(r *report.Result) {
	var missing, unanswered int64
	for i := range f.rooms {
		room := &f.rooms[i]
		for _, m := range room.members {
			missing += max(0, int64(room.accepted)-int64(m.Got))
		}
		unanswered += int64(room.sent - room.answered)
	}
	r.Figures.Add("missing", float64(missing), "")
	r.Figures.Add("out_of_order", float64(f.wrong), "")
	r.Figures.Add("refused", float64(f.refused), "")
	r.Figures.Add("unanswered", float64(unanswered), "")
	r.Figures.Add("thrown_out", float64(f.lost), "")
	r.Note = f.lossNote()
}
