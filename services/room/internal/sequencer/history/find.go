package history

import (
	"errors"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

// Log is what reading needs of a *log.Log.
type Log interface {
	At(room log.Room, pos uint64, done func(log.Stored, error))
	Range(room log.Room, from uint64, batch, maxBytes int, each func(log.Stored, error) bool)
}

// Distances of the marks in wire.Record.
const (
	near = 64
	far  = 1024
)

// Marks are the positions of the records that hold the last message whose seq is
// a multiple of 64 and of 1024, 0 when there is none: what the next record will say.
type Marks struct{ Near, Far uint64 }

// Before is what the record that begins after message seq says of those before it.
func Before(r *wire.Record) (seq uint64, m Marks) {
	return r.First - 1, Marks{r.Mark64, r.Mark1024}
}

// Advance is m after the record r was stored at pos.
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

// Place is where to begin to read: no message from Seq on is before position Pos.
type Position struct{ Pos, Seq uint64 }

// Find gives done the place of a record that is not behind message n, and at most
// 64 messages before it, or else the beginning of the log. m are the marks behind
// message head, n <= head. When n is no longer retained, the first record at or
// after the place is the oldest one retained.
func Find(l Log, room log.Room, head uint64, m Marks, n uint64, done func(Position, error)) {
	multiple, pos := nearestMark(head, m, n)
	switch {
	case pos == 0:
		done(Position{1, 1}, nil)
		return
	case multiple <= n:
		done(Position{pos, multiple}, nil)
		return
	}
	l.At(room, pos, func(s log.Stored, err error) {
		if errors.Is(err, log.ErrNotFound) {
			done(Position{1, n}, nil) // retention has taken it, and so all before it
			return
		}
		if err != nil {
			done(Position{}, err)
			return
		}
		var r wire.Record
		switch err := wire.Unmarshal(s.Data, &r); {
		case err != nil:
			done(Position{}, err)
		case r.First > multiple || r.Last() < multiple:
			done(Position{1, n}, nil) // another record has the position: the log lost its end once
		case r.First <= n:
			done(Position{s.Pos, r.First}, nil)
		default:
			before, m := Before(&r)
			Find(l, room, before, m, n, done)
		}
	})
}

// jump chooses the mark to go to from message head: the farthest that is not
// before n, or when all are the nearest before n. multiple is the seq that the
// record at pos holds; pos 0 stands for the beginning.
func nearestMark(head uint64, m Marks, n uint64) (multiple, pos uint64) {
	if f := head / far * far; f >= n && f > 0 {
		return f, m.Far
	}
	if head < near {
		return 0, 0
	}
	return head / near * near, m.Near
}
