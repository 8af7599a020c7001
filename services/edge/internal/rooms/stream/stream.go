// Package stream orders the live messages of one room on one edge, detects missing ones
// and says which to request. Broadcasts are delivered at most once: they can be lost,
// repeated and, while a room changes owners, reordered. The output is every message
// once, in seq order, or a gap in its place. The package has no clock and does no I/O.
package stream

import (
	"time"

	"github.com/confab-chat/confab/proto/wire"
)

const (
	// MaxRecords and MaxBytes bound what waits behind a hole. Beyond them the latest
	// records are dropped; a repair fetches them after the hole is closed.
	MaxRecords = 256
	MaxBytes   = 1 << 20

	// AskLimit is the largest number of messages in one request (wire.History.Limit).
	AskLimit = 200

	// HeadDelay is how long a head may be ahead of the records before it counts as a
	// loss: digests travel on another connection than the broadcasts they announce.
	HeadDelay = 200 * time.Millisecond

	// A failed repair is retried after minBackoff. The wait doubles each time, up to
	// maxBackoff.
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// Range is the messages From to To, both included. The zero value is empty.
type Range struct{ From, To uint64 }

// None reports whether the range is empty.
func (r Range) None() bool { return r.From == 0 }

// Step is one delivery: a gap, messages, or a gap followed by messages.
type Step struct {
	Gap   Range
	Items []wire.Item // consecutive; valid until the next call on the same stream
}

// Out is what the caller must do: deliver Steps in order and, unless Ask is empty,
// request Ask from the owner (History{After: From-1, Limit: To-From+1}). One Out can
// serve many streams; each call resets it.
type Out struct {
	Steps []Step
	Ask   Range
}

func (o *Out) reset() {
	clear(o.Steps)
	o.Steps, o.Ask = o.Steps[:0], Range{}
}

// Stream orders one room. The zero value has no position yet: it buffers records until
// Start. Not safe for concurrent use.
//
// The caller answers every Ask exactly once, with Repaired or RepairFailed, and owns the
// timeout. Until then nothing else is requested. An Ask may wait in the caller's queue:
// when its turn comes, Missing returns what is still worth requesting.
type Stream struct {
	delivered uint64 // the last seq that was put out, as a message or in a gap
	top       uint64 // the highest seq known to exist, >= delivered
	asked     Range  // the repair in flight, at most one
	started   bool
	tries     uint8     // failed repairs in a row
	notBefore time.Time // earliest time of the next Ask; zero means now
	ahead     buffer    // records that wait behind a hole
}

// Start sets the position: head is the room's last message when the edge began to hold
// the room, and counts as delivered. On a started stream it does what Head does.
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

// Record adds the messages of a broadcast, which must be consecutive; anything else is
// ignored, as are messages that were put out before. The slice is read until the steps
// are delivered, and copied if it has to wait. The JSON is never copied.
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
			s.notBefore = time.Time{} // not an early head any more: a message is lost
		}
	}
	s.ask(now, out)
}

// Head reports the room's last message, from a digest or the answer to a join. Messages
// that do not arrive within HeadDelay are requested.
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

// Repaired adds the answer to an Ask: the items of wire.Messages, ascending, and its
// Oldest. What is missing between them, or before the oldest retained message, is lost
// and becomes a gap. An answer without the first message requested, if that has not
// arrived otherwise, counts as a failed repair.
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

// RepairFailed reports that an Ask got no answer. It is retried later.
func (s *Stream) RepairFailed(now time.Time) {
	if s.asked.None() {
		return
	}
	s.asked = Range{}
	s.backoff(now)
}

// Next returns when Tick has something to request; false if it has nothing.
func (s *Stream) Next() (time.Time, bool) {
	if !s.asked.None() || s.notBefore.IsZero() || s.Missing().None() {
		return time.Time{}, false
	}
	return s.notBefore, true
}

// Tick requests what is missing if its time has come.
func (s *Stream) Tick(now time.Time, out *Out) {
	out.reset()
	s.ask(now, out)
}

// Missing returns the first hole, at most AskLimit long, or an empty range.
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

// Delivered returns the last seq that was put out, as a message or in a gap; 0 before Start.
func (s *Stream) Delivered() uint64 { return s.delivered }
