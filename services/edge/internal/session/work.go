package session

import (
	"slices"
	"sync/atomic"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/services/edge/internal/quota"
)

// maxInFlight is how many requests of one connection are in progress; with that many
// open nothing more is read until half of them have been answered.
const maxInFlight = 64

// work is what a session has in progress. Owned by the connection's loop.
type work struct {
	s       *Session
	open    int        // requests without answer
	waiting []*command // those that have not run, in the order they came
	later   bool       // Flush is due in this turn
	joining []string   // rooms with a join in progress; one that is joined twice is listed twice
	sending []string   // rooms with a message in progress
	replays []*replay
}

// queue puts c behind the requests that wait, and asks for its permit.
func (s *Session) queue(c *command) {
	w := s.work
	if w == nil {
		w = &work{s: s}
		s.work = w
	}
	w.open++
	w.waiting = append(w.waiting, c)
	if c.cost == 0 {
		c.decided, c.permit.OK = true, true
	} else {
		s.askPermit(c)
	}
	w.advanceFor(c)
	if w.open >= maxInFlight {
		s.link().PauseReads()
	}
}

// askPermit gets c's permit: at once, or later on another goroutine, which must not
// touch c before this has returned.
func (s *Session) askPermit(c *command) {
	loop := s.local.loop
	var first atomic.Bool // the second of the two finishes the job
	var early quota.Decision
	s.local.core.Quota.Take(s.User.ID, c.cost, func(d quota.Decision) {
		early = d
		if first.CompareAndSwap(false, true) {
			return
		}
		loop.Post(func() {
			if c.decided, c.permit = true, d; !s.closed {
				s.work.advanceFor(c)
			}
		})
	})
	if !first.CompareAndSwap(false, true) {
		c.decided, c.permit = true, early
	}
}

// joins reports whether a join of the room is in progress or waits.
func (s *Session) joins(room string) bool {
	w := s.work
	return w != nil && (slices.Contains(w.joining, room) || slices.ContainsFunc(w.waiting, func(c *command) bool {
		return c.def.Name == event.NameJoinRoom && c.room == room
	}))
}

// advanceFor runs what can run now that something is new about c. Messages wait until
// the end of this turn of the loop: those that were read together travel together.
func (w *work) advanceFor(c *command) {
	switch {
	case c.message() == nil:
		w.advance()
	case !w.later:
		w.later = true
		w.s.local.loop.Defer(w)
	}
}

// Flush implements poll.Flusher.
func (w *work) Flush() {
	w.later = false
	w.advance()
}

// advance runs what can run: in order for each room.
func (w *work) advance() {
	for i := 0; i < len(w.waiting); {
		c := w.waiting[i]
		if !c.decided || w.mustWait(c, i) {
			i++
			continue
		}
		w.waiting = slices.Delete(w.waiting, i, i+1)
		c.run()
		i = 0 // others may be able to run now, or this was the last
		if w.s.work != w {
			return
		}
	}
}

// advance runs what can run, if the session has anything in progress.
func (s *Session) advance() {
	if s.work != nil {
		s.work.advance()
	}
}

// mustWait reports whether something earlier about c's room has to come first.
func (w *work) mustWait(c *command, i int) bool {
	if c.room == "" {
		return false
	}
	return slices.Contains(w.joining, c.room) ||
		c.message() != nil && slices.Contains(w.sending, c.room) || // see maxBurst
		slices.ContainsFunc(w.waiting[:i], func(earlier *command) bool { return earlier.room == c.room })
}

// releaseIdle frees w when nothing is in progress.
func (w *work) releaseIdle() {
	if w.open == 0 && len(w.waiting) == 0 && len(w.joining) == 0 && len(w.sending) == 0 && len(w.replays) == 0 && w.s.work == w {
		w.s.work = nil
	}
}

// abandon drops everything: the connection has ended.
func (w *work) abandon() {
	for _, r := range w.replays {
		r.stop()
	}
	w.waiting, w.replays, w.joining, w.sending = nil, nil, nil, nil
}
