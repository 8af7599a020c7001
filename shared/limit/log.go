// Package limit counts permits in exact sliding logs. A window is any 60 s, not a minute of
// the clock: no window contains more grants than the limit. The package has no clock and
// does no I/O.
package limit

import (
	"slices"
	"time"
)

// Window is the length of the window in which a limit holds.
const Window = time.Minute

const windowMicros = int64(Window / time.Microsecond)

// Log records when the permits of one key were granted in the last Window. It takes memory
// for the permits used, not for the limit. The zero value is an empty log. Not safe for
// concurrent use.
//
// Instants are offsets from an origin that the caller chose, on a clock that does not step;
// a small step back is harmless. Their resolution is a microsecond: a permit granted within
// one becomes free exactly Window after its end, so the limit is never exceeded, and the
// loss is below 1 us.
type Log struct {
	// ring holds the low half of the microseconds of n grants, from head on, oldest first.
	// The high half follows from last, because every grant is at most Window before it.
	ring    []uint32
	head, n uint32
	last    int64 // the newest grant, in microseconds; meaningless while n is 0
}

// Take asks for one permit at now. A limit of 0 or less means unlimited and records
// nothing. If the permit is refused, retryAfter is the exact time until one is free.
func (l *Log) Take(now time.Duration, limit int) (ok bool, retryAfter time.Duration) {
	if limit <= 0 {
		return true, 0
	}
	l.forget(now)
	if int(l.n) >= limit {
		// The limit may have been lowered: more than one grant may have to expire.
		free := l.at(l.n-uint32(limit)) + windowMicros
		return false, time.Duration(free)*time.Microsecond - now
	}
	l.push(now, limit)
	return true, 0
}

// Return removes the newest grant of the Window, and reports whether there was one.
func (l *Log) Return(now time.Duration) bool {
	l.forget(now)
	if l.n == 0 {
		return false
	}
	if l.n > 1 {
		l.last = l.at(l.n - 2)
	}
	l.n--
	return true
}

// Used returns the number of grants in the Window that ends at now.
func (l *Log) Used(now time.Duration) int {
	l.forget(now)
	return int(l.n)
}

// Idle reports whether the Window that ends at now contains no grant. An empty log would
// answer the same.
func (l *Log) Idle(now time.Duration) bool {
	return l.n == 0 || floorMicros(now) >= l.last+windowMicros
}

// Ages appends how long ago each grant of the Window was, oldest first. Ages,
// unlike instants, mean the same to another process.
func (l *Log) Ages(dst []time.Duration, now time.Duration) []time.Duration {
	l.forget(now)
	for i := range l.n {
		dst = append(dst, max(0, now-time.Duration(l.at(i))*time.Microsecond))
	}
	return dst
}

// Restore replaces the log with what Ages returned, in any order, within 1 us. It ignores
// ages of Window and above, counts negative ones as 0, and keeps at most the newest
// maxGrants.
func (l *Log) Restore(now time.Duration, ages []time.Duration) {
	valid := make([]time.Duration, 0, min(len(ages), maxGrants))
	for _, age := range ages {
		if age < Window {
			valid = append(valid, max(0, age))
		}
	}
	slices.Sort(valid)
	valid = valid[:min(len(valid), maxGrants)]
	*l = Log{}
	for _, age := range slices.Backward(valid) {
		l.push(now-age, len(valid))
	}
}

// maxGrants bounds a log from another process: 4 MiB.
const maxGrants = 1 << 20

// forget drops the grants before the Window that ends at now.
func (l *Log) forget(now time.Duration) {
	over := floorMicros(now) - windowMicros
	if l.n > 0 && l.last <= over { // the common case: all of them
		l.head, l.n = 0, 0
	}
	for l.n > 0 && l.at(0) <= over {
		l.head = (l.head + 1) % uint32(len(l.ring))
		l.n--
	}
}

// push records a grant. A Window contains at most limit grants, so a ring that has grown to
// limit is never full.
func (l *Log) push(now time.Duration, limit int) {
	if int(l.n) == len(l.ring) {
		l.grow(limit)
	}
	at := ceilMicros(now)
	if l.n > 0 {
		at = max(at, l.last)
	}
	l.ring[(l.head+l.n)%uint32(len(l.ring))] = uint32(at)
	l.last = at
	l.n++
}

// grow doubles the ring, up to limit.
func (l *Log) grow(limit int) {
	ring := make([]uint32, max(int(l.n)+1, min(2*len(l.ring), limit), min(4, limit)))
	k := copy(ring, l.ring[l.head:])
	copy(ring[k:], l.ring[:l.head])
	l.ring, l.head = ring, 0
}

// at returns the i-th oldest grant, in microseconds.
func (l *Log) at(i uint32) int64 {
	low := l.ring[(l.head+i)%uint32(len(l.ring))]
	return l.last - int64(uint32(l.last)-low)
}

func floorMicros(d time.Duration) int64 {
	us := int64(d / time.Microsecond)
	if d < 0 && d%time.Microsecond != 0 {
		us--
	}
	return us
}

func ceilMicros(d time.Duration) int64 { return -floorMicros(-d) }
