// Package poll runs the event loops that own the edge's connections. Each loop is one
// goroutine, so the state of its connections needs no lock. Where the system has epoll, an idle
// connection has neither a goroutine nor a buffer.
//
// A connection is a [Transport], which calls its [Handler]. Two transports exist: sockets
// driven by epoll (Linux), and pumps (everywhere, and for connections that are not plain TCP).
// A pump has a goroutine that reads, and one that writes while bytes wait. Both transports have
// the same contract and pass the same tests.
package poll

import (
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/confab-chat/confab/shared/mailbox"
	"github.com/confab-chat/confab/shared/timerheap"
)

// PostBacklog is how many posted functions may wait before TryPost refuses: about
// 10 ms of work. A loop that has more is overloaded, and what can be refused is.
const PostBacklog = 16384

// loopBuffer is the size of a loop's read buffer, and of its buffer for coalesced writes, in
// bytes.
const loopBuffer = 64 << 10

// expiriesPerTurn bounds how many timers of each kind expire in one turn, so that a second
// with 30 000 due heartbeats does not delay the traffic between them.
const expiriesPerTurn = 256

// flushesPerPoll is how many flushes, of a write each, a loop does before it polls its
// sockets again: some 200 us. A broadcast to a room of thousands takes longer than other
// connections should wait.
const flushesPerPoll = 64

// Flusher is work for the end of a loop's turn; see [Loop.Defer].
type Flusher interface{ Flush() }

// Loop is one event loop. Everything except Post, TryPost, Index, Backlog and
// Load must be called on the loop: from a handler, a timer, or a posted function.
type Loop struct {
	// Static.
	index  int
	tick   time.Duration
	start  time.Time
	logger *slog.Logger
	clock  func() time.Time
	poller poller
	group  *Group // an empty one for a loop made by NewManual

	// Owned by the loop.
	now      time.Time
	ticks    uint32
	wheel    wheel
	precise  timerheap.Queue[*PreciseTimer]
	onStop   []func() // see OnStop
	deferred []Flusher
	spare    []Flusher // empty
	buf      []byte    // shared by all reads of this loop
	scratch  []byte    // shared by all coalesced writes of this loop
	pumps    map[*pump]struct{}
	numbers  uint32 // given out
	stopping bool

	lingering int // connections, see Linger

	// Shared.
	mailbox *mailbox.Mailbox
	asleep  atomic.Bool // the loop waits in its poller, or is about to
	conns   atomic.Int64
}

// Index returns the loop's number in its group, from 0.
func (l *Loop) Index() int { return l.index }

// Now returns the wall clock as of the start of this turn.
func (l *Loop) Now() time.Time { return l.now }

// Defer calls f.Flush once, at the end of this turn. Two calls flush twice: a flag in f is
// cheaper than a set here.
func (l *Loop) Defer(f Flusher) { l.deferred = append(l.deferred, f) }

// Scratch returns a buffer of the loop, for use until the caller returns.
func (l *Loop) Scratch() []byte { return l.scratch }

// NextNumber returns the next number of a connection of the loop, from 1. It wraps around
// after four billion.
func (l *Loop) NextNumber() uint32 {
	l.numbers++
	return l.numbers
}

// Go runs f on a goroutine that the group waits for when it stops: f must return when what
// it waits for is closed. It may be called concurrently.
func (l *Loop) Go(f func()) { l.group.wg.Go(f) }

// Load returns the number of connections that the loop owns. It may be called
// concurrently.
func (l *Loop) Load() int { return int(l.conns.Load()) }

// NewManual returns a loop without a goroutine, which tests and simulations drive with
// Turn. It owns no sockets.
func NewManual(now time.Time, tick time.Duration) *Loop {
	l := newLoop(0, Options{Tick: tick}.withDefaults(), &Group{})
	l.start, l.now = now, now
	l.clock = l.Now
	l.poller = newSleeper(l)
	return l
}

// SetClock sets the clock of UptimeNow in a manual loop, in place of the turn's time, for
// tests of work that takes time within a turn.
func (l *Loop) SetClock(clock func() time.Time) { l.clock = clock }

// Turn runs one turn without waiting: posted functions, due timers,
// deferred flushes, in this order, with now as the time.
func (l *Loop) Turn(now time.Time) {
	l.setNow(now)
	l.mailbox.RunEach(l.protect)
	l.wheel.collect(l.ticks)
	for range expiriesPerTurn {
		t := l.wheel.pop()
		if t == nil {
			break
		}
		l.protect(t.Owner.Expire)
	}
	for range expiriesPerTurn {
		t, ok := l.precise.Pop(l.Uptime())
		if !ok {
			break
		}
		l.protect(t.Owner.Expire)
	}
	for len(l.deferred) > 0 {
		l.flushDeferred()
	}
}

func newLoop(index int, o Options, g *Group) *Loop {
	now := time.Now()
	l := &Loop{
		index: index, tick: o.Tick, start: now, logger: o.Logger, clock: time.Now, group: g,
		now: now, ticks: 1,
		buf: make([]byte, loopBuffer), scratch: make([]byte, loopBuffer),
		pumps: make(map[*pump]struct{}),
	}
	l.mailbox = mailbox.NewHook(l.wake)
	l.wheel.init(l.ticks)
	return l
}

// Post runs fn on the loop, after everything posted before. It never blocks and
// never drops; it returns false when the loop has ended, and then fn will not run.
// Producers bound the queue: a callback for each request in flight, a read for each
// pump. One that is fed without bound from outside uses TryPost.
func (l *Loop) Post(fn func()) bool { return l.mailbox.Post(fn) }

// TryPost is Post for work that may be lost, such as a broadcast whose loss is
// noticed and repaired: it also returns false while PostBacklog functions wait.
func (l *Loop) TryPost(fn func()) bool { return l.mailbox.TryPost(fn, PostBacklog) }

// Backlog returns the number of posted functions that wait.
func (l *Loop) Backlog() int { return l.mailbox.Len() }

// wake ends the poller's wait, once for each time the loop went to sleep: it may
// cost a system call.
func (l *Loop) wake() {
	if l.asleep.Load() && l.asleep.CompareAndSwap(true, false) {
		l.poller.wake()
	}
}

// run turns the loop until stop.
func (l *Loop) run() {
	for !l.stopping {
		l.poller.wait(l.maxWait())
		l.asleep.Store(false)
		l.Turn(l.now)
	}
	l.mailbox.Close()
	l.Turn(time.Now()) // what was posted until then
}

// stop ends the loop; Group.Run posts it.
func (l *Loop) stop() {
	l.poller.closeAll(ErrStopped)
	for p := range l.pumps {
		p.fail(ErrStopped)
	}
	for _, fn := range l.onStop {
		fn()
	}
	l.stopping = true
}

// OnStop has fn called when the loop stops, for transports that are not the loop's own
// sockets. It must be called before the group runs.
func (l *Loop) OnStop(fn func()) { l.onStop = append(l.onStop, fn) }

// maxWait returns how long the loop may sleep: not at all while work waits, else until
// the next tick or the first precise timer. The loop is asleep from here on.
func (l *Loop) maxWait() time.Duration {
	if l.wheel.waiting() || len(l.deferred) > 0 || l.mailbox.Len() > 0 {
		return 0
	}
	l.asleep.Store(true)
	if l.mailbox.Len() > 0 { // posted before the producer could see asleep
		return 0
	}
	left := l.tick - l.now.Sub(l.start)%l.tick
	if at, ok := l.precise.Next(); ok {
		left = min(left, max(0, at-l.Uptime()))
	}
	return left
}

func (l *Loop) setNow(now time.Time) {
	l.now = now
	if d := now.Sub(l.start); d > 0 { // a clock that jumps back does not turn the wheel back
		l.ticks = max(l.ticks, 1+uint32(d/l.tick))
	}
}

func (l *Loop) flushDeferred() {
	list := l.deferred
	l.deferred, l.spare = l.spare, nil // what is flushed may defer again
	for i, f := range list {
		if i%flushesPerPoll == flushesPerPoll-1 {
			l.protect(l.poller.pollNow) // what becomes ready is deferred behind this list
		}
		l.protect(f.Flush)
		list[i] = nil
	}
	l.spare = list[:0] // its memory serves the next turn
}

// protect runs fn and reports a panic, which is a programming error in a handler.
// The loop goes on: one connection's fault must not cost the others their connection.
func (l *Loop) protect(fn func()) {
	defer func() {
		if r := recover(); r != nil {
			l.logPanic(r)
		}
	}()
	fn()
}

// recoverPanic is protect for a connection's handler, as a deferred call: a panic
// also ends the connection, through its fail.
func (l *Loop) recoverPanic(fail func(reason error)) {
	if r := recover(); r != nil {
		l.logPanic(r)
		l.protect(func() { fail(ErrPanic) }) // Closed may panic too
	}
}

func (l *Loop) logPanic(r any) {
	l.logger.Error("panic on an event loop", "event", "loop.panic", "err", r, "stack", string(debug.Stack()))
}
