package history

import (
	"errors"
	"iter"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

// Log is the log of one room, as reading needs it. Its methods wait for the answer.
type Log interface {
	// At returns the record at exactly pos; log.ErrNotFound without one.
	At(pos uint64) (log.Stored, error)
	// Range returns up to batch records from position from on, until they exceed
	// maxBytes. The last element has an error, log.ErrEnd at the end.
	Range(from uint64, batch, maxBytes int) iter.Seq2[log.Stored, error]
	// Malformed is called with the position of a record that cannot be decoded.
	Malformed(pos uint64)
}

// Distances of the marks in wire.Record.
const (
	near = 64
	far  = 1024
)

// Marks are the positions of the records that hold the last message whose seq is
// a multiple of 64 and of 1024; 0 without one. Each record carries those before it.
type Marks struct{ Near, Far uint64 }

// Before returns the seq of the last message before record r, and the marks there.
func Before(r *wire.Record) (seq uint64, m Marks) {
	return r.First - 1, Marks{r.Mark64, r.Mark1024}
}

// Advance returns m after the record r was stored at pos.
func (m Marks) Advance(r *wire.Record, pos uint64) Marks {
	last := r.Last()
	if last/near > (r.First-1)/near {
		m.Near = pos
	}
	if last/far > (r.First-1)/far {
		m.Far = pos
	}
	return m
}

// Position is where to begin to read: no message from Seq on is stored before Pos.
type Position struct{ Pos, Seq uint64 }

// Find returns the position of a record that begins at message n or at most 64
// messages before it, or else the beginning of the log. m are the marks at message
// head; n must be at most head. When n is no longer retained, the first record at or
// after the position is the oldest one retained.
func Find(l Log, head uint64, m Marks, n uint64) (Position, error) {
	for {
		multiple, pos := nearestMark(head, m, n)
		switch {
		case pos == 0:
			return Position{1, 1}, nil
		case multiple <= n:
			return Position{pos, multiple}, nil
		}
		s, err := l.At(pos)
		switch {
		case errors.Is(err, log.ErrNotFound):
			return Position{1, n}, nil // retention has removed it, and all records before it
		case err != nil:
			return Position{}, err
		}
		var r wire.Record
		switch {
		case !Decode(s.Data, &r):
			return Position{1, n}, nil
		case r.First > multiple || r.Last() < multiple:
			return Position{1, n}, nil // another record has the position: the log lost its end once
		case r.First <= n:
			return Position{s.Pos, r.First}, nil
		}
		head, m = Before(&r)
	}
}

// nearestMark chooses the mark to go to from message head: the farthest one that is
// not before n, else the nearest one. The record at pos holds message multiple; pos 0
// means the beginning of the log.
func nearestMark(head uint64, m Marks, n uint64) (multiple, pos uint64) {
	if f := head / far * far; f >= n && f > 0 {
		return f, m.Far
	}
	if head < near {
		return 0, 0
	}
	return head / near * near, m.Near
}
