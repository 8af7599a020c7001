// Package logtest is a message log in memory whose operations wait for the test: the test decides
// in which order they are carried out and answered, and what is lost.
package logtest

import (
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

// World is a log, and the messages on their way between it and its users. It is also their
// clock and their timers. It must not be used concurrently.
type World struct {
	Records map[log.Room][]log.Stored // by position
	Steps   []*Step                   // what can happen next
	Now     time.Time

	pos uint64 // of the last record of all rooms
}

// Step is an event that can happen now.
type Step struct {
	Owner int // whose callback it ends in
	Timer bool
	run   func(Fate)
}

// Fate is how a step ends.
type Fate int

const (
	Fine     Fate = iota
	Lost          // the request, or the answer to a read, does not arrive: a timeout
	LostAck       // an append is stored, but the acknowledgement is lost
	Delayed       // an append times out, and is stored later
	Refused       // an append is refused as if another were under way (R3)
	Lagging       // a read by position is answered by a replica that lacks the last record
	NumFates = 6
)

// New returns an empty log in the year 2027.
func New() *World {
	return &World{Records: map[log.Room][]log.Stored{}, Now: time.UnixMilli(1_800_000_000_000)}
}

// RunStep runs step i with a fate. A timer moves the clock to its time.
func (w *World) RunStep(i int, f Fate) {
	s := w.Steps[i]
	w.Steps = slices.Delete(w.Steps, i, i+1)
	s.run(f)
}

// RunAll runs all steps without faults until none is left, timers last.
func (w *World) RunAll() {
	for n := 0; len(w.Steps) > 0; n++ {
		if n > 1_000_000 {
			panic("the steps never end")
		}
		w.RunStep(max(slices.IndexFunc(w.Steps, func(s *Step) bool { return !s.Timer }), 0), Fine)
	}
}

// RunReplies is RunAll without timers.
func (w *World) RunReplies() {
	for {
		i := slices.IndexFunc(w.Steps, func(s *Step) bool { return !s.Timer })
		if i < 0 {
			return
		}
		w.RunStep(i, Fine)
	}
}

// Kill drops all steps of owner: it gets no replies and no timers.
func (w *World) Kill(owner int) {
	w.Steps = slices.DeleteFunc(w.Steps, func(s *Step) bool { return s.Owner == owner })
}

// After calls f in a later step, at least d from now.
func (w *World) After(owner int, d time.Duration, f func()) {
	at := w.Now.Add(d)
	w.Steps = append(w.Steps, &Step{Owner: owner, Timer: true, run: func(Fate) {
		if w.Now.Before(at) {
			w.Now = at
		}
		f()
	}})
}

// Store appends a record directly and returns its position.
func (w *World) Store(room log.Room, data []byte) uint64 {
	w.pos += 3 // other rooms are in the same stream
	w.Records[room] = append(w.Records[room], log.Stored{Pos: w.pos, Data: slices.Clone(data)})
	return w.pos
}

func (w *World) last(room log.Room) uint64 {
	if n := len(w.Records[room]); n > 0 {
		return w.Records[room][n-1].Pos
	}
	return 0
}

// Log is the log as owner sees it. It has the methods of *log.Log.
type Log struct {
	World *World
	Owner int
}

func (l *Log) step(run func(Fate)) {
	l.World.Steps = append(l.World.Steps, &Step{Owner: l.Owner, run: run})
}

// Append is log.Log.Append.
func (l *Log) Append(room log.Room, expect uint64, record []byte, done func(uint64, error)) {
	w, data := l.World, slices.Clone(record)
	try := func() (uint64, error) {
		if w.last(room) != expect {
			return 0, log.ErrConflict
		}
		return w.Store(room, data), nil
	}
	l.step(func(f Fate) {
		switch f {
		case Lost:
			done(0, log.ErrUncertain)
		case LostAck:
			_, _ = try()
			done(0, log.ErrUncertain)
		case Delayed:
			l.step(func(Fate) { _, _ = try() })
			done(0, log.ErrUncertain)
		case Refused:
			done(0, log.ErrConflict)
		default:
			done(try())
		}
	})
}

// read adds a step that replies with the first record that pick accepts.
func (l *Log) read(room log.Room, pick func(log.Stored) bool, backwards, replica bool, done func(log.Stored, error)) {
	l.step(func(f Fate) {
		if f == Lost || f == LostAck {
			done(log.Stored{}, nats.ErrTimeout)
			return
		}
		records := l.World.Records[room]
		if f == Lagging && replica && len(records) > 0 {
			records = records[:len(records)-1]
		}
		i := slices.IndexFunc(records, pick)
		if backwards {
			i = len(records) - 1
		}
		if i < 0 {
			done(log.Stored{}, log.ErrNotFound)
			return
		}
		done(records[i], nil)
	})
}

// Tail is log.Log.Tail.
func (l *Log) Tail(room log.Room, done func(log.Stored, error)) {
	l.read(room, func(log.Stored) bool { return true }, true, false, done)
}

// First is log.Log.First.
func (l *Log) First(room log.Room, done func(log.Stored, error)) {
	l.read(room, func(log.Stored) bool { return true }, false, true, done)
}

// Next is log.Log.Next.
func (l *Log) Next(room log.Room, from uint64, done func(log.Stored, error)) {
	l.read(room, func(s log.Stored) bool { return s.Pos >= from }, false, false, done)
}

// At is log.Log.At.
func (l *Log) At(room log.Room, pos uint64, done func(log.Stored, error)) {
	l.read(room, func(s log.Stored) bool { return s.Pos == pos }, false, true, done)
}

// Range is log.Log.Range.
func (l *Log) Range(room log.Room, from uint64, batch, maxBytes int, each func(log.Stored, error) bool) {
	l.step(func(f Fate) {
		if f == Lost || f == LostAck {
			each(log.Stored{}, nats.ErrTimeout)
			return
		}
		records := l.World.Records[room]
		if f == Lagging && len(records) > 0 {
			records = records[:len(records)-1]
		}
		size := 0
		for _, s := range records {
			if s.Pos < from || batch == 0 || size > maxBytes {
				continue
			}
			batch--
			size += len(s.Data)
			if !each(s, nil) {
				return
			}
		}
		each(log.Stored{}, log.ErrEnd)
	})
}

// Purge is log.Log.Purge.
func (l *Log) Purge(room log.Room, before uint64, done func(uint64, error)) {
	l.step(func(Fate) {
		n := len(l.World.Records[room])
		l.World.Records[room] = slices.DeleteFunc(l.World.Records[room], func(s log.Stored) bool { return s.Pos < before })
		done(uint64(n-len(l.World.Records[room])), nil)
	})
}

// LargeRooms is log.Log.LargeRooms; the world has one shard.
func (l *Log) LargeRooms(_, _ int, min uint64, done func([]log.Room, error)) {
	l.step(func(f Fate) {
		if f == Lost {
			done(nil, nats.ErrTimeout)
			return
		}
		var found []log.Room
		for room, records := range l.World.Records {
			if uint64(len(records)) > min {
				found = append(found, room)
			}
		}
		slices.SortFunc(found, func(a, b log.Room) int { return strings.Compare(a.Subject, b.Subject) })
		done(found, nil)
	})
}
