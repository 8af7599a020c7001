package poll

import (
	"time"

	"github.com/confab-chat/confab/shared/timerheap"
)

// wheelSlots is a power of two above the usual deadlines, in ticks (a heartbeat every
// 30 s): a timer further away is looked at once a round until it is due.
const wheelSlots = 64

// Expirer is the owner of a timer. Expire is called on the loop, once for each time
// that the timer was armed.
type Expirer interface{ Expire() }

// Timer is a deadline to the tick, embedded in its owner: arming and disarming is a
// few pointer writes, without allocation. Set Owner before the first Arm. A timer
// belongs to one loop.
type Timer struct {
	Owner      Expirer
	prev, next *Timer // nil when not armed
	at         uint32
}

// Armed reports whether t will expire.
func (t *Timer) Armed() bool { return t.next != nil }

// At returns the tick for which t is, or was last, armed.
func (t *Timer) At() uint32 { return t.at }

func (t *Timer) unlink() {
	if t.next == nil {
		return
	}
	t.prev.next, t.next.prev = t.next, t.prev
	t.prev, t.next = nil, nil
}

// list is a ring; head is its sentinel.
type list struct{ head Timer }

func (l *list) init() { l.head.prev, l.head.next = &l.head, &l.head }

func (l *list) push(t *Timer) {
	t.prev, t.next = l.head.prev, &l.head
	t.prev.next, t.next.prev = t, t
}

func (l *list) empty() bool { return l.head.next == &l.head }

// wheel is a hashed timing wheel. It has no clock: the loop passes the tick. collect
// moves the due timers into a list, from which the loop serves a bounded number a turn.
type wheel struct {
	slots [wheelSlots]list
	due   list
	tick  uint32 // all timers up to it are in due, or served
}

func (w *wheel) init(tick uint32) {
	for i := range w.slots {
		w.slots[i].init()
	}
	w.due.init()
	w.tick = tick
}

func (w *wheel) arm(t *Timer, at uint32) {
	t.unlink()
	t.at = max(at, w.tick+1)
	w.slots[t.at%wheelSlots].push(t)
}

// collect advances to the given tick.
func (w *wheel) collect(tick uint32) {
	steps := min(tick-w.tick, wheelSlots) // a late loop need not go round twice
	if tick <= w.tick {
		return
	}
	w.tick = tick
	for i := range steps {
		slot := &w.slots[(tick-steps+1+i)%wheelSlots]
		for t := slot.head.next; t != &slot.head; {
			next := t.next
			if t.at <= tick {
				t.unlink()
				w.due.push(t)
			}
			t = next
		}
	}
}

func (w *wheel) waiting() bool { return !w.due.empty() }

// pop removes and returns the next due timer, nil if there is none.
func (w *wheel) pop() *Timer {
	if w.due.empty() {
		return nil
	}
	t := w.due.head.next
	t.unlink()
	return t
}

// PreciseTimer is a deadline to the millisecond, for what ticks are too coarse for, such
// as the heartbeats of Engine.IO, whose intervals are settings. Arming one costs the
// logarithm of their number; a [Timer] costs a constant. Set Owner before the first
// ArmPrecise. A timer belongs to one loop.
type PreciseTimer struct {
	Owner Expirer
	timerheap.Place
}

// Armed reports whether t will expire.
func (t *PreciseTimer) Armed() bool { return t.Queued() }

// Uptime returns the time since the loop was made, as of the start of this turn.
func (l *Loop) Uptime() time.Duration { return l.now.Sub(l.start) }

// UptimeNow returns the time since the loop was made, read from the clock now.
func (l *Loop) UptimeNow() time.Duration { return l.clock().Sub(l.start) }

// ArmPrecise makes t expire when Uptime reaches at. An armed timer is moved.
func (l *Loop) ArmPrecise(t *PreciseTimer, at time.Duration) { l.precise.Set(t, at) }

// DisarmPrecise stops t. It is a no-op if t is not armed.
func (l *Loop) DisarmPrecise(t *PreciseTimer) { l.precise.Remove(t) }

// Tick returns the number of the current tick, from 1. Timers are armed with ticks: 32
// bits of one second each last 136 years.
func (l *Loop) Tick() uint32 { return l.ticks }

// Ticks returns d in whole ticks, rounded up, at least 1.
func (l *Loop) Ticks(d time.Duration) uint32 {
	return max(1, uint32((d+l.tick-1)/l.tick))
}

// Arm makes t expire at the tick at, or at the next one if that is past. An armed timer is
// moved.
func (l *Loop) Arm(t *Timer, at uint32) { l.wheel.arm(t, at) }

// Disarm stops t. It is a no-op if t is not armed.
func (l *Loop) Disarm(t *Timer) { t.unlink() }
