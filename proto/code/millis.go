package code

import "time"

// Millis returns d in milliseconds, rounded up, so that a client that waits this long
// does not retry too early. It returns 0 for a negative d.
func Millis(d time.Duration) uint64 {
	if d <= 0 {
		return 0
	}
	ms := uint64(d / time.Millisecond)
	if d%time.Millisecond != 0 {
		ms++
	}
	return ms
}
