// Package stream puts the live messages of one room on one edge in order, finds
// what is missing and says what to ask for. Broadcasts are delivered at most
// once and can be lost, repeated and, while a room changes owners, reordered;
// what comes out here is every message once, in seq order, or the gap that stands
// for it. It has no clock and does no I/O.
package stream

import (
	"time"

	"github.com/confab-chat/confab/proto/wire"
)

const (
	// MaxRecords and MaxBytes bound what waits behind a hole. Beyond them the
	// latest are dropped: the repair brings them after the hole is closed.
	MaxRecords = 256
	MaxBytes   = 1 << 20

	// AskLimit is how many messages are asked for at once (wire.History.Limit).
	AskLimit = 200

	// HeadDelay is how long a head that is ahead of the records is given before it
	// counts as a loss: digests come on another connection than the broadcasts they tell of.
	HeadDelay = 200 * time.Millisecond

	// A repair that failed is asked again after minBackoff, then twice as long
	// each time, at most maxBackoff.
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// Range is messages From to To, both included; its zero value is none.
type Range struct{ From, To uint64 }

// None tells that the range is empty.
func (r Range) None() bool { return r.From == 0 }

// Step is what to deliver: first the gap, if there is one, then the messages, if
// there are any.
type Step struct {
	Gap   Range
	Items []wire.Item // consecutive; valid until the next call on the same stream
}

// Out is what a call wants done: deliver Steps in order, and ask the owner for
// Ask (History{After: From-1, Limit: To-From+1}), if it is not None. One Out can
// serve many streams and calls: each call resets it.
type Out struct {
	Steps []Step
	Ask   Range
}

func (o *Out) reset() {
	clear(o.Steps)
	o.Steps, o.Ask = o.Steps[:0], Range{}
}

// Stream is the order of one room. The zero value is a room whose position is
// not known: it keeps records until Start. Not safe for concurrent use.
//
// Every Ask is answered exactly once, by Repaired or RepairFailed (the caller has
// the timeout); until then nothing else is asked. Ask may wait in the caller's
// queue: Missing says what is worth asking when its turn comes.
type Stream struct {
	delivered uint64 // the last seq that went out, or stands in a gap that did
	top       uint64 // the highest seq known to exist, >= delivered
	asked     Range  // the repair that is under way, at most one
	started   bool
	tries     uint8     // repairs in a row that brought nothing
	notBefore time.Time // of the next Ask; zero = at once
	ahead     buffer    // records behind a hole
}

// Start says from where to deliver: head is the room's last message when the
// edge began to hold the room, and is taken as delivered. When the stream has
// started before, it is Head.
func (s *Stream) Start(now time.Time, head uint64, out *Out) {
	if s.started {
		s.Head(now, head, out)
		return
	}
	out.reset()
	s.started, s.delivered, s.top = true, head, max(s.top, head)
	s.drain(out)
	s.ask(now, out)
}

// Record takes the messages of a broadcast, which are consecutive; anything else
// is ignored, as are messages that went out before. The slice is read until the
// steps are delivered, and copied when it has to wait; the JSON is never copied.
func (s *Stream) Record(now time.Time, items []wire.Item, out *Out) {
	out.reset()
	if !consecutive(items) {
		return
	}
	s.top = max(s.top, items[len(items)-1].Seq)
	if s.started && items[0].Seq <= s.delivered+1 {
		s.deliver(items, out)
		s.drain(out)
	} else {
		s.ahead.add(items)
		if s.tries == 0 {
			s.notBefore = time.Time{} // no longer a head that may just be early: something is lost
		}
	}
	s.ask(now, out)
}

// Head says that the room's last message is head: from a digest, or in answer to
// a join. Unless the messages come by themselves within HeadDelay, they are asked for.
func (s *Stream) Head(now time.Time, head uint64, out *Out) {
	out.reset()
	if head <= s.top {
		return
	}
	whole := s.Missing().None()
	s.top = head
	if whole && s.notBefore.Before(now.Add(HeadDelay)) {
		s.notBefore = now.Add(HeadDelay)
	}
}

// Repaired takes the answer to an Ask: the items that wire.Messages brought,
// ascending, and its Oldest. What is missing between them, or before the oldest
// message retained, is gone and becomes a gap. An answer that does not bring the
// first message asked for, which did not come by itself either, is a repair that failed.
func (s *Stream) Repaired(now time.Time, items []wire.Item, oldest uint64, out *Out) {
	out.reset()
	asked := s.asked
	s.asked = Range{}
	if asked.None() {
		return
	}
	if oldest > s.delivered+1 {
		s.skip(oldest-1, out)
	}
	for len(items) > 0 {
		n := run(items)
		if first := items[0].Seq; first > s.delivered+1 {
			s.skip(first-1, out)
		}
		s.deliver(items[:n], out)
		items = items[n:]
	}
	s.drain(out)
	if s.delivered < asked.From {
		s.backoff(now)
		return
	}
	s.tries, s.notBefore = 0, time.Time{}
	s.ask(now, out)
}

// RepairFailed says that an Ask got no answer. It is asked again later.
func (s *Stream) RepairFailed(now time.Time) {
	if s.asked.None() {
		return
	}
	s.asked = Range{}
	s.backoff(now)
}

// Next is when Tick has something to ask; false when it has not.
func (s *Stream) Next() (time.Time, bool) {
	if !s.asked.None() || s.notBefore.IsZero() || s.Missing().None() {
		return time.Time{}, false
	}
	return s.notBefore, true
}

// Tick asks for what is missing if its time has come.
func (s *Stream) Tick(now time.Time, out *Out) {
	out.reset()
	s.ask(now, out)
}

// Missing is the first hole, at most AskLimit long, None when there is none.
func (s *Stream) Missing() Range {
	if !s.started || s.top <= s.delivered {
		return Range{}
	}
	to := s.top
	if first, ok := s.ahead.first(); ok {
		to = first - 1
	}
	return Range{s.delivered + 1, min(to, s.delivered+AskLimit)}
}

// Delivered is the last seq that went out, or stands in a gap that did; 0 before Start.
func (s *Stream) Delivered() uint64 { return s.delivered }

// Started tells whether the position is known.
func (s *Stream) Started() bool { return s.started }
