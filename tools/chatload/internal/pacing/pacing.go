// Package pacing says when the requests of an open loop are due. Users do not wait
// for each other: a request that could not leave in time is still counted from when
// it was due, so that a server which stalls is not spared the requests that would
// have come meanwhile ("coordinated omission", Gil Tene, "How NOT to Measure Latency").
package pacing

import "time"

// Schedule is a constant rate from a start on. Times are nanoseconds. The zero value
// is never due. Not safe for concurrent use.
type Schedule struct {
	start int64
	step  float64 // nanoseconds from one to the next
	n     int64   // already taken
	burst int64
}

// New returns a schedule of rate requests a second, in groups of burst (at least 1)
// that are due together.
func New(start int64, rate float64, burst int) Schedule {
	if rate <= 0 {
		return Schedule{}
	}
	return Schedule{start: start, step: 1e9 / rate, burst: int64(max(1, burst))}
}

// Due takes the next request if its time has come, and returns that time.
func (s *Schedule) Due(now int64) (due int64, ok bool) {
	if s.step == 0 || s.next() > now {
		return 0, false
	}
	due = s.next()
	s.n++
	return due, true
}

// Wait is how long nothing is due, at most limit.
func (s *Schedule) Wait(now int64, limit time.Duration) time.Duration {
	if s.step == 0 {
		return limit
	}
	return min(limit, max(0, time.Duration(s.next()-now)))
}

// next is computed from the start, so that rounding does not add up.
func (s *Schedule) next() int64 {
	return s.start + int64(float64(s.n/s.burst*s.burst)*s.step)
}
