//go:build linux

package scenario

import "time"

// schedule holds when the messages of an open loop are due: at a constant rate from a
// start. Users do not wait for each other, so a message that could not leave in time still
// counts from when it was due. Otherwise a server that stalls would be spared the messages
// of that time ("coordinated omission", Gil Tene, "How NOT to Measure Latency"). Times are
// nanoseconds. A zero schedule is never due.
type schedule struct {
	start int64
	step  float64 // nanoseconds from one message to the next
	n     int64   // messages that advance has returned
	burst int64
}

// newSchedule returns a schedule of rate messages a second, in groups of burst (at least
// 1) that are due together.
func newSchedule(start int64, rate float64, burst int) schedule {
	if rate <= 0 {
		return schedule{}
	}
	return schedule{start: start, step: 1e9 / rate, burst: int64(max(1, burst))}
}

// advance returns when the next message is due and steps to the one after it. ok is false,
// and the schedule stays, when that time is after now.
func (s *schedule) advance(now int64) (due int64, ok bool) {
	if s.step == 0 || s.nextDue() > now {
		return 0, false
	}
	due = s.nextDue()
	s.n++
	return due, true
}

// untilNext returns how long no message is due, at most limit.
func (s *schedule) untilNext(now int64, limit time.Duration) time.Duration {
	if s.step == 0 {
		return limit
	}
	return min(limit, max(0, time.Duration(s.nextDue()-now)))
}

// nextDue counts from the start, so that rounding does not add up.
func (s *schedule) nextDue() int64 {
	return s.start + int64(float64(s.n/s.burst*s.burst)*s.step)
}
