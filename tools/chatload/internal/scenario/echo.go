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

// echo is connections that ask for the cheapest answer, one request in flight each.
type echo struct {
	*stage
	idle        []*crowd.Conn // without a request, open loop
	schedule    pacing.Schedule
	stopping    bool
	done        int64
	from, until int64
	times       *hdrhistogram.Histogram
}

// Echo bounces requests on Connections: closed loop, or at Rate over all of them;
// then a request that finds no free connection waits for one and its time runs. It
// uses Warm, Duration and Runs.
func Echo(ctx context.Context, o Options) (results []report.Result, err error) {
	s, err := newStage(ctx, o)
	if err != nil {
		return nil, err
	}
	defer s.crowd.Close()
	e := &echo{stage: s}
	if err := s.open(o.Connections, func(_ int, c *crowd.Conn) { e.idle = append(e.idle, c) }); err != nil {
		return nil, err
	}
	s.message = e.receive
	for range max(1, o.Runs) {
		r, err := e.measure()
		if err != nil {
			return results, err
		}
		results = append(results, r)
	}
	return results, nil
}

func (e *echo) ask(c *crowd.Conn, due int64) {
	c.Since = due
	e.buf = e.Dialect.AppendEcho(e.buf[:0], 1)
	c.Text(e.buf)
}

func (e *echo) receive(c *crowd.Conn, m dialect.Message, at int64) {
	if m.Kind != dialect.Echoed {
		return
	}
	if c.Since >= e.from && c.Since < e.until {
		e.done++
		record(e.times, at-c.Since)
	}
	if e.Rate > 0 || e.stopping {
		e.idle = append(e.idle, c)
		return
	}
	e.ask(c, stamp.Now())
}

func (e *echo) run(d time.Duration, phase string) error {
	for end := stamp.Now() + int64(d); ; {
		now := stamp.Now()
		if now >= end {
			return nil
		}
		if e.Rate == 0 {
			for ; len(e.idle) > 0; e.idle = e.idle[:len(e.idle)-1] {
				e.ask(e.idle[len(e.idle)-1], now)
			}
		}
		for len(e.idle) > 0 {
			due, ok := e.schedule.Due(now)
			if !ok {
				break
			}
			c := e.idle[0] // the longest idle: all take their turn
			e.idle = e.idle[1:]
			e.ask(c, due)
		}
		wait := e.schedule.Wait(stamp.Now(), time.Duration(end-now))
		if len(e.idle) == 0 {
			wait = time.Duration(end - now) // an answer has to come first
		}
		e.crowd.Poll(wait)
		e.line.show(phase, "%d answers, %d lost", e.done, e.crowd.Stats.Lost)
		if err := e.ctx.Err(); err != nil {
			return err
		}
	}
}

func (e *echo) measure() (report.Result, error) {
	e.schedule, e.stopping = pacing.New(stamp.Now(), e.Rate, 1), false
	e.from, e.until, e.times, e.done = 1<<62, 1<<62, latencies(), 0
	if err := e.run(e.Warm, "warming"); err != nil {
		return report.Result{}, err
	}
	before, err := e.read()
	if err != nil {
		return report.Result{}, err
	}
	e.from = stamp.Now()
	if err := e.run(e.Duration, "measuring"); err != nil {
		return report.Result{}, err
	}
	e.until = stamp.Now()
	after, err := e.read()
	if err != nil {
		return report.Result{}, err
	}
	done := float64(e.done)
	e.stopping = true
	for end := time.Now().Add(e.Patience); len(e.idle) < e.crowd.Stats.Open && time.Now().Before(end); {
		e.crowd.Poll(5 * time.Millisecond)
	}
	r := e.result()
	r.Setup.Add("connections", float64(e.Connections), "")
	if e.Rate > 0 {
		r.Setup.Add("rate", e.Rate, "/s")
	}
	r.Figures.Add("round_trips_per_s", done/after.at.Sub(before.at).Seconds(), "/s")
	e.addCPU(&r.Figures, before, after, "round_trips", done)
	addLatency(&r.Figures, "round_trip", e.times)
	r.Figures.Add("unanswered", float64(e.crowd.Stats.Open-len(e.idle)), "")
	r.Figures.Add("thrown_out", float64(e.crowd.Stats.Lost), "")
	r.Note = e.lossNote()
	return r, nil
}
