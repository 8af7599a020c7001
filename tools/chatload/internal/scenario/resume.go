package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/confab-chat/confab/tools/chatload/internal/crowd"
	"github.com/confab-chat/confab/tools/chatload/internal/dialect"
	"github.com/confab-chat/confab/tools/chatload/internal/report"
	"github.com/confab-chat/confab/tools/chatload/internal/stamp"
)

// resume is clients that lose their connection, miss messages, and come back.
type resume struct {
	*stage
	room      string
	seq       uint64 // of the room, when the clients went
	accepted  int
	completed int
	wrong     int // messages that came twice or out of order
	whole     *hdrhistogram.Histogram
	fromJoin  *hdrhistogram.Histogram
	joinedAt  map[*crowd.Conn]int64
}

// Resume makes Connections miss Missed messages and come back, AtOnce at a time, to
// the second target if there is one. It measures from the first packet of the new
// connection, and from the join, to the last message that was missed.
func Resume(ctx context.Context, o Options) (results []report.Result, err error) {
	if !o.Dialect.Traits().Resumes {
		return nil, fmt.Errorf("resume: the dialect %s has no since", o.DialectName)
	}
	for i := range max(1, o.Runs) {
		r, err := resumeOnce(ctx, o, i)
		if err != nil {
			return results, err
		}
		results = append(results, r)
	}
	return results, nil
}

func resumeOnce(ctx context.Context, o Options, run int) (report.Result, error) {
	home, away := o, o
	home.Targets = o.Targets[:1]
	away.Targets = o.Targets[len(o.Targets)-1:]
	s, err := newStage(ctx, home)
	if err != nil {
		return report.Result{}, err
	}
	defer s.crowd.Close()
	r := &resume{
		stage: s, whole: latencies(), fromJoin: latencies(), joinedAt: make(map[*crowd.Conn]int64),
		room: fmt.Sprintf("resume-%s-%d-%d", o.DialectName, stamp.Now(), run),
	}
	s.message = r.receive
	if err := r.miss(); err != nil {
		return report.Result{}, err
	}
	s.Targets = away.Targets
	before, err := s.read()
	if err != nil {
		return report.Result{}, err
	}
	if err := r.comeBack(); err != nil {
		return report.Result{}, err
	}
	after, err := s.read()
	if err != nil {
		return report.Result{}, err
	}
	out := s.result()
	out.Setup.Add("connections", float64(o.Connections), "")
	out.Setup.Add("missed", float64(o.Missed), "")
	out.Setup.Add("at_once", float64(o.AtOnce), "")
	n := float64(o.Connections * o.Missed)
	out.Figures.Add("replayed_per_s", n/after.at.Sub(before.at).Seconds(), "/s")
	s.addCPU(&out.Figures, before, after, "replayed", n)
	addLatency(&out.Figures, "resume", r.whole)
	addLatency(&out.Figures, "resume_from_join", r.fromJoin)
	out.Figures.Add("out_of_order", float64(r.wrong), "")
	out.Note = s.lossNote()
	return out, nil
}

// miss opens the clients and a publisher, lets the clients go, and publishes.
func (r *resume) miss() error {
	r.opened = func(c *crowd.Conn) { r.join(c, r.room, -1) }
	conns := make([]*crowd.Conn, r.Connections+1)
	if err := r.open(len(conns), func(i int, c *crowd.Conn) { conns[i] = c }); err != nil {
		return err
	}
	if err := r.allJoined(len(conns)); err != nil {
		return err
	}
	for _, c := range conns[1:] {
		c.HangUp()
	}
	sent := 0
	for end := time.Now().Add(r.Patience); r.accepted < r.Missed; {
		for ; sent < r.Missed && sent-r.accepted < 64; sent++ {
			r.publish(conns[0], uint64(sent)+firstID, r.room, stamp.Now(), uint32(sent+1))
		}
		r.crowd.Poll(10 * time.Millisecond)
		if r.refused > 0 {
			return fmt.Errorf("a message was refused: %s", r.firstNo)
		}
		if err := r.check(end, "publishing"); err != nil {
			return err
		}
	}
	conns[0].HangUp()
	return nil
}

func (r *resume) receive(c *crowd.Conn, m dialect.Message, at int64) {
	switch m.Kind {
	case dialect.Accepted:
		r.accepted++
	case dialect.Joined:
		if seq, ok := dialect.Seq(m.Body); ok && r.accepted == 0 {
			r.seq = seq
		}
	case dialect.Delivery:
		r.replayed(c, m.Body, at)
	}
}

func (r *resume) replayed(c *crowd.Conn, body []byte, at int64) {
	joined, back := r.joinedAt[c]
	_, n, ok := stamp.Find(body)
	if !ok || !back {
		return
	}
	if n != c.Last+1 {
		r.wrong++
	}
	c.Last = n
	if c.Got++; int(c.Got) == r.Missed {
		record(r.whole, at-c.Since)
		record(r.fromJoin, at-joined)
		r.completed++
		c.HangUp()
	}
}

// comeBack opens the clients again, each with what it has seen last.
func (r *resume) comeBack() error {
	r.opened = func(c *crowd.Conn) {
		r.joinedAt[c] = stamp.Now()
		r.join(c, r.room, int64(r.seq))
	}
	begun := 0
	for end := time.Now().Add(r.Patience); r.completed < r.Connections; {
		for ; begun < r.Connections && begun-r.completed < r.AtOnce; begun++ {
			c, err := r.dial()
			if err != nil {
				return err
			}
			c.Since = stamp.Now()
		}
		r.crowd.Poll(10 * time.Millisecond)
		r.line.show("resuming", "%d of %d are back", r.completed, r.Connections)
		if r.crowd.Stats.Lost > 0 {
			return fmt.Errorf("a client that came back was lost: %w", r.crowd.Stats.FirstError)
		}
		if err := r.check(end, "resuming"); err != nil {
			return err
		}
	}
	return nil
}
