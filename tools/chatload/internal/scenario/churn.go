package scenario

import (
	"context"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/confab-chat/confab/tools/chatload/internal/crowd"
	"github.com/confab-chat/confab/tools/chatload/internal/dialect"
	"github.com/confab-chat/confab/tools/chatload/internal/pacing"
	"github.com/confab-chat/confab/tools/chatload/internal/report"
	"github.com/confab-chat/confab/tools/chatload/internal/stamp"
)

// churn is clients that come at a rate, join one of Rooms, and go after Life.
type churn struct {
	*stage
	leaving          []departure // in the order in which they go
	came, went       int64
	from, until      int64
	opening, joining *hdrhistogram.Histogram
}

type departure struct {
	c  *crowd.Conn
	at int64
}

// Churn keeps Rate clients a second coming (open loop: latency counts from when each
// was to come) and going after Life. It uses Rooms, Warm, Duration and Runs.
func Churn(ctx context.Context, o Options) (results []report.Result, err error) {
	s, err := newStage(ctx, o)
	if err != nil {
		return nil, err
	}
	defer s.crowd.Close()
	c := &churn{stage: s}
	s.opened, s.message = c.up, c.receive
	for range max(1, o.Runs) {
		r, err := c.measure()
		if err != nil {
			return results, err
		}
		results = append(results, r)
	}
	return results, nil
}

func (n *churn) up(c *crowd.Conn) {
	if c.Since >= n.from && c.Since < n.until {
		record(n.opening, stamp.Now()-c.Since)
	}
	n.join(c, n.roomName(int(c.Number)%n.Rooms), -1)
	n.leaving = append(n.leaving, departure{c, stamp.Now() + int64(n.Life)})
}

func (n *churn) receive(c *crowd.Conn, m dialect.Message, at int64) {
	if m.Kind == dialect.Joined && c.Since >= n.from && c.Since < n.until {
		n.came++
		record(n.joining, at-c.Since)
	}
}

func (n *churn) run(d time.Duration, phase string) error {
	schedule := pacing.New(stamp.Now(), n.Rate, 1)
	for end := stamp.Now() + int64(d); ; {
		now := stamp.Now()
		if now >= end {
			return nil
		}
		for due, ok := schedule.Due(now); ok; due, ok = schedule.Due(now) {
			c, err := n.dial()
			if err != nil {
				return err
			}
			c.Since = due
		}
		n.depart(now)
		n.crowd.Poll(min(schedule.Wait(stamp.Now(), time.Duration(end-now)), 5*time.Millisecond))
		n.line.show(phase, "%d open, %d came, %d went, %d lost", n.crowd.Stats.Open, n.joined, n.went, n.crowd.Stats.Lost)
		if err := n.ctx.Err(); err != nil {
			return err
		}
	}
}

// depart lets those go whose time is over.
func (n *churn) depart(now int64) {
	for len(n.leaving) > 0 && n.leaving[0].at <= now {
		n.leaving[0].c.Leave()
		n.leaving = n.leaving[1:]
		n.went++
	}
}

func (n *churn) measure() (report.Result, error) {
	n.from, n.until, n.came = 1<<62, 1<<62, 0
	n.opening, n.joining = latencies(), latencies()
	if err := n.run(n.Warm, "warming"); err != nil {
		return report.Result{}, err
	}
	before, err := n.read()
	if err != nil {
		return report.Result{}, err
	}
	n.from = stamp.Now()
	lost := n.crowd.Stats.Lost
	if err := n.run(n.Duration, "measuring"); err != nil {
		return report.Result{}, err
	}
	n.until = stamp.Now()
	after, err := n.read()
	if err != nil {
		return report.Result{}, err
	}
	for end := time.Now().Add(n.Patience); n.crowd.Stats.Open+n.crowd.Stats.Pending > 0 && time.Now().Before(end); {
		n.depart(1 << 62)
		n.crowd.Poll(5 * time.Millisecond)
	}
	r := n.result()
	r.Setup.Add("rate", n.Rate, "/s")
	r.Setup.Add("life", n.Life.Seconds(), "s")
	r.Setup.Add("rooms", float64(n.Rooms), "")
	r.Figures.Add("joined_per_s", float64(n.came)/after.at.Sub(before.at).Seconds(), "/s")
	n.addCPU(&r.Figures, before, after, "visits", float64(n.came))
	addLatency(&r.Figures, "open", n.opening)
	addLatency(&r.Figures, "joined", n.joining)
	r.Figures.Add("lost", float64(n.crowd.Stats.Lost-lost), "")
	r.Figures.Add("refused", float64(n.refused), "")
	r.Note = n.lossNote()
	return r, nil
}
