package relay

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// maxOpen bounds the commands of one shard that are not answered yet: 5 s at
	// 3 000 a second. The next one fails with ErrBusy.
	maxOpen = 16384

	// A shard without an owner is tried again after minRetry, then twice as long
	// each time, up to maxRetry: a graceful hand-over takes 0.1 s, a crash 3 s.
	minRetry = 50 * time.Millisecond
	maxRetry = 400 * time.Millisecond
)

// timeouts are how long a request may wait for its answer before it is sent
// again: the longest that fits the deadline. Few, because the Requester keeps a
// queue for each.
func timeouts() []time.Duration {
	return []time.Duration{
		time.Second, 750 * time.Millisecond, 500 * time.Millisecond,
		250 * time.Millisecond, 100 * time.Millisecond, 20 * time.Millisecond,
	}
}

// call is one command until it is answered.
type call struct {
	subject  string
	header   nats.Header
	data     []byte
	deadline time.Time
	// alive, when set, says before each sending whether it is still to be sent.
	alive func() bool
	done  func(reply []byte, err error)

	attempt  int  // counts sendings: what belongs to an earlier one is ignored
	flying   bool // sent, and not refused or timed out since
	finished bool
}

// lane is the way to the owner of one shard: commands go out in the order in
// which they came. While there is an owner they go out at once. When there is
// none the lane is dark: everything unanswered is held, the first is sent again
// from time to time, and when that is answered the others follow in order.
// Repeats do no harm: every command is idempotent. Owned by its intake.
type lane struct {
	in    *intake
	open  []*call // in order; finished ones go when they are in front
	gone  int     // finished ones among open
	dark  bool
	tries int
	retry time.Time // when dark: of the next attempt
}

func (l *lane) do(c *call) {
	if len(l.open)-l.gone >= maxOpen {
		c.done(nil, ErrBusy)
		return
	}
	l.open = append(l.open, c)
	if !l.dark {
		l.send(c)
	}
}

// send publishes c, or finishes it if it is too late or not wanted any more.
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
	c.flying = true
	attempt := c.attempt
	l.in.req.Do(c.subject, c.header, c.data, timeout, func(m *nats.Msg, err error) {
		switch {
		case err == nil: // on the intake's goroutine
			l.answered(c, m.Data)
		case errors.Is(err, nats.ErrNoResponders): // there too
			l.refused(c, attempt)
		default: // wherever: timeouts come from the Requester's goroutine
			l.in.post(func() { l.failed(c, attempt, err) })
		}
	})
}

// timeoutFor is the longest timeout that fits left.
func timeoutFor(left time.Duration) (time.Duration, bool) {
	for _, t := range timeouts() {
		if t <= left {
			return t, true
		}
	}
	return 0, false
}

// answered takes a reply, whichever attempt it answers, and knows by it that
// there is an owner.
func (l *lane) answered(c *call, reply []byte) {
	l.finish(c, reply, nil)
	if l.dark {
		l.dark, l.tries = false, 0
		l.in.brightened(l)
		l.flush()
	}
}

// flush sends all that is held.
func (l *lane) flush() {
	for _, c := range slices.Clone(l.open) { // sending can finish some
		if !c.finished && !c.flying {
			l.send(c)
		}
	}
}

// refused notes that nobody is there.
func (l *lane) refused(c *call, attempt int) {
	if c.finished || c.attempt != attempt || !c.flying {
		return
	}
	c.flying = false
	l.darken()
}

func (l *lane) failed(c *call, attempt int, err error) {
	switch {
	case c.finished || c.attempt != attempt || !c.flying:
	case errors.Is(err, nats.ErrConnectionClosed):
		l.finish(c, nil, ErrStopped)
	case !errors.Is(err, nats.ErrTimeout): // could not be published
		c.flying = false
		l.darken()
	case l.dark: // the one that was to find out
		c.flying = false
		l.retry = l.in.now
	default:
		c.flying = false
		l.send(c)
	}
}

// darken holds everything that is unanswered and sets the time of the next attempt.
func (l *lane) darken() {
	if !l.dark {
		l.dark, l.tries = true, 0
		l.in.darkened(l)
		for _, c := range l.open {
			c.flying = false // a late answer is welcome all the same
		}
	}
	wait := min(minRetry<<min(l.tries, 8), maxRetry)
	l.tries++
	l.retry = l.in.now.Add(wait/2 + rand.N(wait/2)) // edges do not come in step
}

// tick is called from time to time while the lane is dark.
func (l *lane) tick() {
	for _, c := range slices.Clone(l.open) {
		if !c.finished && !c.deadline.After(l.in.now) {
			l.finish(c, nil, ErrUnavailable)
		}
	}
	if l.in.now.Before(l.retry) {
		return
	}
	for _, c := range slices.Clone(l.open) {
		if c.finished {
			continue
		}
		if c.flying { // the attempt under way
			return
		}
		if l.send(c); !c.finished {
			l.retry = l.in.now.Add(maxRetry)
			return
		}
	}
	if len(l.open) == 0 { // nothing to find out with: the next command will
		l.dark = false
		l.in.brightened(l)
	}
}

func (l *lane) finish(c *call, reply []byte, err error) {
	if c.finished {
		return
	}
	c.finished = true
	l.gone++
	for len(l.open) > 0 && l.open[0].finished {
		l.open[0] = nil
		l.open = l.open[1:]
		l.gone--
	}
	if l.gone > maxOpen/4 && l.gone > len(l.open)/2 {
		l.open = slices.DeleteFunc(l.open, func(c *call) bool { return c.finished })
		l.gone = 0
	}
	c.done(reply, err)
}

// abandon gives up everything that is open.
func (l *lane) abandon() {
	if l == nil {
		return
	}
	for _, c := range slices.Clone(l.open) {
		l.finish(c, nil, ErrStopped)
	}
}
