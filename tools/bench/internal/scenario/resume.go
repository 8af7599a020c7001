//go:build linux

package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/confab-chat/confab/tools/bench/internal/clients"
	"github.com/confab-chat/confab/tools/bench/internal/dialect"
	"github.com/confab-chat/confab/tools/bench/internal/report"
	"github.com/confab-chat/confab/tools/bench/internal/stamp"
)

// publishWindow is how many of the missed messages have no reply at a time.
const publishWindow = 64

// resume is clients that lose their connection, miss messages, and reconnect.
type resume struct {
	*load
	room       string
	seq        uint64 // of the room when the clients left
	accepted   int
	completed  int // clients that have all they missed
	outOfOrder int // messages that came twice or out of order
	joinedAt   map[*clients.Conn]int64

	fromDial, fromJoin *hdrhistogram.Histogram
}

// Resume makes Connections miss Missed messages and reconnect, AtOnce at a time, to the
// last of Targets. It measures from the start of the new connection, and from the join, to
// the last missed message. It uses Size and Runs.
func Resume(ctx context.Context, o Options) (results []report.Result, err error) {
	if !o.Dialect.Traits().Resumes {
		return nil, fmt.Errorf("resume: servers of the dialect %s do not replay messages", o.DialectName)
	}
	for i := range o.Runs {
		r, err := resumeOnce(ctx, o, i)
		if err != nil {
			return results, err
		}
		results = append(results, r)
	}
	return results, nil
}

func resumeOnce(ctx context.Context, o Options, run int) (report.Result, error) {
	l, err := newLoad(ctx, o)
	if err != nil {
		return report.Result{}, err
	}
	defer l.loop.Close()
	r := &resume{
		load: l, fromDial: newLatencies(), fromJoin: newLatencies(), joinedAt: make(map[*clients.Conn]int64),
		room: fmt.Sprintf("resume-%s-%d-%d", o.DialectName, stamp.Now(), run),
	}
	l.onMessage = r.receive
	l.Targets = o.Targets[:1]
	if err := r.missMessages(); err != nil {
		return report.Result{}, err
	}
	l.Targets = o.Targets[len(o.Targets)-1:]
	before, err := l.readMeter()
	if err != nil {
		return report.Result{}, err
	}
	if err := r.reconnectAll(); err != nil {
		return report.Result{}, err
	}
	after, err := l.readMeter()
	if err != nil {
		return report.Result{}, err
	}
	out := l.newResult()
	out.Setup.Add("connections", float64(o.Connections), "")
	out.Setup.Add("missed", float64(o.Missed), "")
	out.Setup.Add("at_once", float64(o.AtOnce), "")
	n := float64(o.Connections * o.Missed)
	out.Figures.Add("replayed_per_s", n/after.at.Sub(before.at).Seconds(), "/s")
	l.addCPU(&out.Figures, before, after, "replayed", n)
	addLatency(&out.Figures, "resume", r.fromDial)
	addLatency(&out.Figures, "resume_from_join", r.fromJoin)
	out.Figures.Add("out_of_order", float64(r.outOfOrder), "")
	out.Note = l.note()
	return out, nil
}

// missMessages opens the clients and a publisher, disconnects the clients, and publishes.
func (r *resume) missMessages() error {
	r.joinOnOpen = true
	r.onOpen = func(c *clients.Conn) { r.join(c, r.room, -1) }
	conns := make([]*clients.Conn, r.Connections+1)
	if err := r.openAll(len(conns), func(i int, c *clients.Conn) { conns[i] = c }); err != nil {
		return err
	}
	if err := r.awaitJoins(len(conns)); err != nil {
		return err
	}
	for _, c := range conns[1:] {
		c.Abort()
	}
	sent := 0
	for end := time.Now().Add(r.Patience); r.accepted < r.Missed; {
		for ; sent < r.Missed && sent-r.accepted < publishWindow; sent++ {
			r.publish(conns[0], uint64(sent)+firstID, r.room, stamp.Now(), uint32(sent+1))
		}
		r.loop.Poll(10 * time.Millisecond)
		if r.refused > 0 {
			return fmt.Errorf("a message was refused: %s", r.firstRefusal)
		}
		if err := r.checkWait(end, "publishing"); err != nil {
			return err
		}
	}
	conns[0].Abort()
	return nil
}

func (r *resume) receive(c *clients.Conn, m dialect.Message, at int64) {
	switch m.Kind {
	case dialect.Accepted:
		r.accepted++
	case dialect.Joined:
		if seq, ok := dialect.Seq(m.Body); ok && r.accepted == 0 {
			r.seq = seq
		}
	case dialect.Delivery:
		r.countReplayed(c, m.Body, at)
	}
}

// countReplayed counts a delivery to a client that has reconnected.
func (r *resume) countReplayed(c *clients.Conn, body []byte, at int64) {
	joined, reconnected := r.joinedAt[c]
	_, n, ok := stamp.Find(body)
	if !ok || !reconnected {
		return
	}
	if n != c.Last+1 {
		r.outOfOrder++
	}
	c.Last = n
	if c.Got++; int(c.Got) == r.Missed {
		recordLatency(r.fromDial, at-c.Since)
		recordLatency(r.fromJoin, at-joined)
		r.completed++
		c.Abort()
	}
}

// reconnectAll opens the clients again; each asks for what it missed.
func (r *resume) reconnectAll() error {
	r.onOpen = func(c *clients.Conn) {
		r.joinedAt[c] = stamp.Now()
		r.join(c, r.room, int64(r.seq))
	}
	dialed := 0
	for end := time.Now().Add(r.Patience); r.completed < r.Connections; {
		for ; dialed < r.Connections && dialed-r.completed < r.AtOnce; dialed++ {
			r.dial().Since = stamp.Now()
		}
		r.loop.Poll(10 * time.Millisecond)
		r.showProgress("resuming", "%d of %d have all messages", r.completed, r.Connections)
		if r.loop.Stats.Lost > 0 {
			return fmt.Errorf("a client that reconnected was lost: %w", r.loop.Stats.FirstError)
		}
		if err := r.checkWait(end, "resuming"); err != nil {
			return err
		}
	}
	return nil
}
