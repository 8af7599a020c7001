package poll

// wheelSlots is a power of two above the usual deadlines (30 heartbeats of a
// second): a timer further away is looked at once a round until it is due.
const wheelSlots = 64

// Expirer is the owner of a timer.
type Expirer interface{ Expire() }

// Timer is one deadline, embedded in its owner: arming and disarming is a few
// pointer writes, without allocation. Set Owner before the first Arm. A timer
// belongs to one loop.
type Timer struct {
	Owner      Expirer
	prev, next *Timer // nil when not armed
	at         uint32
}

// Armed tells whether t will expire.
func (t *Timer) Armed() bool { return t.next != nil }

// At is the tick for which t is or was armed.
func (t *Timer) At() uint32 { return t.at }

func (t *Timer) unlink() {
	if t.next == nil {
		return
	}
	t.prev.next, t.next.prev = t.next, t.prev
	t.prev, t.next = nil, nil
}

// list is a ring with itself as sentinel.
type list struct{ head Timer }

func (l *list) init() { l.head.prev, l.head.next = &l.head, &l.head }

func (l *list) push(t *Timer) {
	t.prev, t.next = l.head.prev, &l.head
	t.prev.next, t.next.prev = t, t
}

func (l *list) empty() bool { return l.head.next == &l.head }

// wheel is a hashed timing wheel. It has no clock: the loop says the tick.
// collect moves what is due into a list, from which the loop takes as much as
// it wants to serve at a time.
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

// pop takes the next due timer, nil when there is none.
func (w *wheel) pop() *Timer {
	if w.due.empty() {
		return nil
	}
	t := w.due.head.next
	t.unlink()
	return t
}
