package stream

import (
	"time"

	"github.com/confab-chat/confab/proto/wire"
)

// deliver adds the new ones of items to out. They start at delivered+1 or before.
func (s *Stream) deliver(items []wire.Item, out *Out) {
	last := items[len(items)-1].Seq
	if last <= s.delivered {
		return
	}
	items = items[s.delivered+1-items[0].Seq:]
	if n := len(out.Steps); n > 0 && out.Steps[n-1].Items == nil {
		out.Steps[n-1].Items = items // after its gap
	} else {
		out.Steps = append(out.Steps, Step{Items: items})
	}
	s.delivered = last
	s.top = max(s.top, last)
}

// drain delivers the buffered records that follow now.
func (s *Stream) drain(out *Out) {
	for {
		items := s.ahead.pop(s.delivered + 1)
		if items == nil {
			return
		}
		s.deliver(items, out)
	}
}

// skip adds gaps for the messages up to to, except those in the buffer.
func (s *Stream) skip(to uint64, out *Out) {
	for s.delivered < to {
		s.drain(out)
		if s.delivered >= to {
			return
		}
		end := to
		if first, ok := s.ahead.first(); ok {
			end = min(end, first-1)
		}
		out.Steps = append(out.Steps, Step{Gap: Range{s.delivered + 1, end}})
		s.delivered = end
		s.top = max(s.top, end)
	}
}

// ask requests a repair of the first hole, unless one is in flight or backing off.
func (s *Stream) ask(now time.Time, out *Out) {
	hole := s.Missing()
	if hole.None() {
		s.tries, s.notBefore = 0, time.Time{}
		return
	}
	if !s.asked.None() || now.Before(s.notBefore) {
		return
	}
	s.asked, out.Ask = hole, hole
}

func (s *Stream) backoff(now time.Time) {
	wait := min(minBackoff<<s.tries, maxBackoff)
	s.tries = min(s.tries+1, 10)
	s.notBefore = now.Add(wait)
}

// consecutive reports whether items can be one record: not empty, without holes.
func consecutive(items []wire.Item) bool {
	return len(items) > 0 && items[0].Seq > 0 && run(items) == len(items)
}

// run returns how many of items, from the first on, follow each other without a hole.
func run(items []wire.Item) int {
	n := 1
	for n < len(items) && items[n].Seq == items[n-1].Seq+1 {
		n++
	}
	return n
}
