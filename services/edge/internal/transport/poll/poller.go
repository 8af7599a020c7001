package poll

import "time"

// poller waits for sockets on behalf of a loop. All methods but wake run on the loop.
type poller interface {
	// wait sleeps for at most d (0 means not at all), sets the loop's time, and serves
	// what is ready.
	wait(d time.Duration)
	// pollNow serves what is ready, in the middle of a turn.
	pollNow()
	// wake ends a wait, from any goroutine.
	wake()
	// closeAll ends every connection that the poller holds.
	closeAll(reason error)
	// close frees the poller, after the loop has ended.
	close()
}

// sleeper is the poller of a loop without sockets of its own: it only sleeps
// until something is posted. The loop's connections are pumps.
type sleeper struct {
	loop  *Loop
	wakes chan struct{} // capacity 1; never closed
	timer *time.Timer   // owned by the loop
}

func newSleeper(l *Loop) *sleeper {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &sleeper{loop: l, wakes: make(chan struct{}, 1), timer: t}
}

func (s *sleeper) wait(d time.Duration) {
	defer func() { s.loop.setNow(time.Now()) }()
	if d == 0 {
		return
	}
	s.timer.Reset(d)
	select {
	case <-s.wakes:
	case <-s.timer.C:
	}
	s.timer.Stop()
}

func (s *sleeper) pollNow() {} // pumps post what they read

func (s *sleeper) wake() {
	select {
	case s.wakes <- struct{}{}:
	default:
	}
}

func (s *sleeper) closeAll(error) {}
func (s *sleeper) close()         {}
