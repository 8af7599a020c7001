package relay

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// maxOpen bounds the unanswered commands of one shard: 5 s at 3 000 a second. The next
	// one fails with ErrBusy.
	maxOpen = 16384

	// A shard without an owner is retried after minRetry. The wait doubles each time, up
	// to maxRetry: a graceful hand-over takes 0.1 s, a crash 3 s.
	minRetry = 50 * time.Millisecond
	maxRetry = 400 * time.Millisecond
)

// timeouts lists how long a request may wait for its answer before it is sent again. The
// longest that fits the deadline is used. They are few because the Requester keeps a
// queue for each.
func timeouts() []time.Duration {
	return []time.Duration{
		time.Second, 750 * time.Millisecond, 500 * time.Millisecond,
		250 * time.Millisecond, 100 * time.Millisecond, 20 * time.Millisecond,
	}
}

// call is one command from submit to its answer.
type call struct {
	subject  string
	header   nats.Header
	data     []byte
	deadline time.Time
	// alive, if set, is asked before each attempt whether the command is still wanted.
	alive func() bool
	done  func(reply []byte, err error)

	attempt  int  // counts attempts; results of an earlier one are ignored
	inFlight bool // sent, and not refused or timed out since
	finished bool
}

// lane sends commands to the owner of one shard, in the order of submit. While the shard
// has an owner they go out at once. Without one the lane is stalled: it holds everything
// unanswered and retries the first command; once that is answered, the others follow in
// order. Every command is idempotent, so repeats are harmless. Owned by its intake.
type lane struct {
	in       *intake
	open     []*call // in order; finished calls leave it from the front
	finished int     // finished calls in open
	stalled  bool
	attempts int
	retryAt  time.Time // of the next attempt, while stalled
}

func (l *lane) submit(c *call) {
	if len(l.open)-l.finished >= maxOpen {
		c.done(nil, ErrBusy)
		return
	}
	l.open = append(l.open, c)
	if !l.stalled {
		l.send(c)
	}
}

// send publishes c, or finishes it if it is too late or no longer wanted.
func (l *lane) send(c *call) {
	if c.alive != nil && !c.alive() {
		l.finish(c, nil, ErrStopped)
		return
	}
	timeout, ok := timeoutFor(c.deadline.Sub(l.in.now))
	if !ok {
		l.finish(c, nil, ErrUnavailable)
		return
	}
	c.attempt++
	c.inFlight = true
	attempt := c.attempt
	l.in.req.Do(c.subject, c.header, c.data, timeout, func(m *nats.Msg, err error) {
		switch {
		case err == nil: // on the intake's goroutine
			l.answered(c, m.Data)
		case errors.Is(err, nats.ErrNoResponders): // there too
			l.refused(c, attempt)
		default: // on any goroutine: the Requester reports timeouts on its own
			l.in.mailbox.Post(func() { l.failed(c, attempt, err) })
		}
	})
}

// timeoutFor returns the longest timeout that fits left.
func timeoutFor(left time.Duration) (time.Duration, bool) {
	for _, t := range timeouts() {
		if t <= left {
			return t, true
		}
	}
	return 0, false
}

// answered receives a reply to any attempt. It shows that the shard has an owner.
func (l *lane) answered(c *call, reply []byte) {
	l.finish(c, reply, nil)
	if l.stalled {
		l.stalled, l.attempts = false, 0
		delete(l.in.stalled, l)
		l.flush()
	}
}

// flush sends everything that is held.
func (l *lane) flush() {
	for _, c := range slices.Clone(l.open) { // sending can finish some
		if !c.finished && !c.inFlight {
			l.send(c)
		}
	}
}

// refused receives the notice that the shard has no owner.
func (l *lane) refused(c *call, attempt int) {
	if c.finished || c.attempt != attempt || !c.inFlight {
		return
	}
	c.inFlight = false
	l.stall()
}

func (l *lane) failed(c *call, attempt int, err error) {
	switch {
	case c.finished || c.attempt != attempt || !c.inFlight:
	case errors.Is(err, nats.ErrConnectionClosed):
		l.finish(c, nil, ErrStopped)
	case !errors.Is(err, nats.ErrTimeout): // could not be published
		c.inFlight = false
		l.stall()
	case l.stalled: // it was the retry
		c.inFlight = false
		l.retryAt = l.in.now
	default:
		c.inFlight = false
		l.send(c)
	}
}

func (l *lane) stall() {
	if !l.stalled {
		l.stalled, l.attempts = true, 0
		l.in.stalled[l] = struct{}{}
		for _, c := range l.open {
			c.inFlight = false // a late answer still counts
		}
	}
	wait := min(minRetry<<min(l.attempts, 8), maxRetry)
	l.attempts++
	l.retryAt = l.in.now.Add(wait/2 + rand.N(wait/2)) // random, so that edges do not retry in step
}

// tick fails overdue commands and retries. The intake calls it while the lane is stalled.
func (l *lane) tick() {
	for _, c := range slices.Clone(l.open) {
		if !c.finished && !c.deadline.After(l.in.now) {
			l.finish(c, nil, ErrUnavailable)
		}
	}
	if l.in.now.Before(l.retryAt) {
		return
	}
	for _, c := range slices.Clone(l.open) {
		if c.finished {
			continue
		}
		if c.inFlight { // this is the retry, and it waits longer for its answer than maxRetry
			l.retryAt = l.in.now.Add(maxRetry)
			return
		}
		if l.send(c); !c.finished {
			l.retryAt = l.in.now.Add(maxRetry)
			return
		}
	}
	if len(l.open) == 0 { // nothing left to retry: the next command is sent at once
		l.stalled = false
		delete(l.in.stalled, l)
	}
}

func (l *lane) finish(c *call, reply []byte, err error) {
	if c.finished {
		return
	}
	c.finished = true
	l.finished++
	for len(l.open) > 0 && l.open[0].finished {
		l.open[0] = nil
		l.open = l.open[1:]
		l.finished--
	}
	if l.finished > maxOpen/4 && l.finished > len(l.open)/2 {
		l.open = slices.DeleteFunc(l.open, func(c *call) bool { return c.finished })
		l.finished = 0
	}
	c.done(reply, err)
}

// abandon fails everything that is open.
func (l *lane) abandon() {
	if l == nil {
		return
	}
	for _, c := range slices.Clone(l.open) {
		l.finish(c, nil, ErrStopped)
	}
}
