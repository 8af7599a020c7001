package poll

import "time"

// Moment is a time of a loop: nanoseconds since it began.
type Moment int64

// After is the moment d later.
func (m Moment) After(d time.Duration) Moment { return m + Moment(d) }

// Alarm is a deadline to the millisecond, for what ticks are too coarse for, such as
// the heartbeats of Engine.IO, whose intervals are settings. Arming one costs the
// logarithm of how many there are; a [Timer] costs nothing. Set Owner before the
// first Arm. An alarm belongs to one loop.
type Alarm struct {
	Owner Expirer
	at    Moment
	place int32 // in alarms, from 1; 0: not armed
}

// Armed tells whether a will expire.
func (a *Alarm) Armed() bool { return a.place > 0 }

// At is the moment for which a is or was armed.
func (a *Alarm) At() Moment { return a.at }

// Moment is this turn's time.
func (l *Loop) Moment() Moment { return Moment(l.now.Sub(l.start)) }

// Clock is the time now, not as of the start of this turn as Moment is.
func (l *Loop) Clock() Moment { return l.MomentOf(l.clock()) }

// MomentOf is a wall clock's time as the loop counts it.
func (l *Loop) MomentOf(t time.Time) Moment { return Moment(t.Sub(l.start)) }

// ArmAt makes a expire at the given moment. An armed alarm is moved.
func (l *Loop) ArmAt(a *Alarm, at Moment) {
	earlier := at < a.at
	a.at = at
	switch {
	case a.place == 0:
		l.alarms = append(l.alarms, a)
		a.place = int32(len(l.alarms))
		l.alarms.up(len(l.alarms) - 1)
	case earlier:
		l.alarms.up(int(a.place) - 1)
	default:
		l.alarms.down(int(a.place) - 1)
	}
}

// DisarmAt stops a; it may be stopped already.
func (l *Loop) DisarmAt(a *Alarm) {
	if a.place == 0 {
		return
	}
	l.alarms.remove(int(a.place) - 1)
}

// expireAlarms serves those that are due.
func (l *Loop) expireAlarms() {
	now := l.Moment()
	for n := 0; n < expiriesPerTurn && len(l.alarms) > 0 && l.alarms[0].at <= now; n++ {
		a := l.alarms[0]
		l.alarms.remove(0)
		l.protect(a.Owner.Expire)
	}
}

// alarms is a binary heap by time.
type alarms []*Alarm

func (h alarms) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].at <= h[i].at {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h alarms) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if right := child + 1; right < len(h) && h[right].at < h[child].at {
			child = right
		}
		if h[i].at <= h[child].at {
			return
		}
		h.swap(i, child)
		i = child
	}
}

func (h alarms) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = int32(i+1), int32(j+1)
}

func (h *alarms) remove(i int) {
	last := len(*h) - 1
	h.swap(i, last)
	(*h)[last].place = 0
	(*h)[last] = nil
	*h = (*h)[:last]
	if i < last {
		h.down(i)
		h.up(i)
	}
}
