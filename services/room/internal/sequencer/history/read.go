package history

import (
	"errors"
	"fmt"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

const (
	// maxBatch and maxBytes bound one batch read: what is on its way to us at once.
	maxBatch = 512
	maxBytes = 1 << 20
)

// ErrShort is given when a read ends before the message it should reach: the
// replica that answered lags. Asking again helps.
var ErrShort = errors.New("the log answers with less than it has")

// Scan gives each record from place on to each, in order, until the one with
// message to has come. The records are each's to keep. Messages that retention has
// taken are left out.
func Scan(l Log, room log.Room, from Position, to uint64, each func(r *wire.Record, pos uint64), done func(error)) {
	s := scan{log: l, room: room, to: to, each: each, done: done}
	s.batch(from)
}

type scan struct {
	log  Log
	room log.Room
	to   uint64
	each func(*wire.Record, uint64)
	done func(error)

	next    Position // behind the last record that came
	reached bool     // done has run; the rest of the batch is only let pass
}

// batch asks for records from place on. Each holds a message at least, so there
// are no more of them than messages.
func (s *scan) batch(from Position) {
	s.next = from
	n := min(s.to-min(from.Seq, s.to)+1, maxBatch)
	s.log.Range(s.room, from.Pos, int(n), maxBytes, func(m log.Stored, err error) bool {
		return s.take(from, m, err)
	})
}

func (s *scan) take(from Position, m log.Stored, err error) (more bool) {
	switch {
	case s.reached:
		return err == nil
	case errors.Is(err, log.ErrEnd) && s.next != from:
		s.batch(s.next)
		return false
	case errors.Is(err, log.ErrEnd), errors.Is(err, log.ErrNotFound):
		s.done(ErrShort)
		return false
	case err != nil:
		s.done(err)
		return false
	}
	r := new(wire.Record)
	if err := wire.Unmarshal(m.Data, r); err != nil || len(r.Entries) == 0 {
		s.reached = true
		s.done(fmt.Errorf("record at %d: %w", m.Pos, wire.ErrMalformed))
		return true
	}
	s.next = Position{m.Pos + 1, r.Last() + 1}
	s.each(r, m.Pos)
	if r.Last() >= s.to {
		s.reached = true
		s.done(nil)
	}
	return true
}

// Read collects the messages of span. m are the marks behind message head.
func Read(l Log, room log.Room, head uint64, m Marks, span Span, done func([]wire.Item, error)) {
	Find(l, room, head, m, span.From, func(from Position, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		var items []wire.Item
		Scan(l, room, from, span.To, func(r *wire.Record, _ uint64) {
			items = collect(items, r, span)
		}, func(err error) { done(items, err) })
	})
}

// collect appends the messages of r that are in span.
func collect(items []wire.Item, r *wire.Record, span Span) []wire.Item {
	for i := range r.Entries {
		if seq := r.First + uint64(i); seq >= span.From && seq <= span.To {
			items = append(items, wire.Item{Seq: seq, JSON: r.Entries[i].JSON})
		}
	}
	return items
}
