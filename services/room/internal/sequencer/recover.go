package sequencer

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/history"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

// failed notes that the append under way was not acknowledged: what it carried may
// be in the log, or come to be there, until another record takes its place.
func (r *Room) failed(err error) {
	for _, p := range r.queue[:r.sending] {
		p.tried = true
	}
	r.sending, r.stale = 0, true
	if errors.Is(err, log.ErrConflict) && r.attempts < 3 {
		// Somebody else was faster: what to read is there already.
		r.attempts++
		return
	}
	r.pause(err)
}

// Delays between attempts. Two owners in conflict come apart by chance; a stream
// without a leader needs seconds.
const (
	minDelay = 2 * time.Millisecond
	maxDelay = 400 * time.Millisecond
)

// pause holds the room for a while and answers those whose time is over.
func (r *Room) pause(err error) {
	r.env.Counters.CountRetry(err)
	now := r.env.Now()
	r.drop(now)
	n := 0
	for _, w := range r.waiters {
		if w.until.Before(now) {
			w.f(errAway())
			continue
		}
		r.waiters[n] = w
		n++
	}
	clear(r.waiters[n:])
	r.waiters = r.waiters[:n]
	r.attempts++
	ceiling := min(minDelay<<min(r.attempts, 10), maxDelay)
	r.busy = true
	r.env.After(ceiling/2+rand.N(ceiling/2), func() {
		r.busy = false
		r.step()
	})
}

// load reads the room's last record, when its turn comes.
func (r *Room) load() {
	r.busy = true
	if !r.env.loads.enter(r.tail) {
		r.busy = false
		r.pause(errBusy())
	}
}

func (r *Room) tail() {
	r.env.Log.Tail(r.place, func(s log.Stored, err error) {
		r.busy = false
		r.env.loads.leave()
		var rec wire.Record
		switch {
		case err == nil:
			if err = wire.Unmarshal(s.Data, &rec); err == nil {
				r.head.marks = history.Marks{Near: rec.Mark64, Far: rec.Mark1024}
				r.head.pages = pages{pos: rec.Page}
				r.follow(&rec, s.Pos)
			}
		}
		if err != nil && !errors.Is(err, log.ErrNotFound) {
			r.pause(err)
			return
		}
		r.loaded, r.attempts = true, 0
		waiters := r.waiters
		r.waiters = nil
		for _, w := range waiters {
			w.f(nil)
		}
		r.step()
	})
}

// coldAfter is how long a room may have been idle and still be appended to at once.
// The server forgets a block that was not used for 10 s; an append would then read
// 8 MB of the disk while all other rooms of the stream wait for it.
const coldAfter = 8 * time.Second

// touch has the server read the room's last record, outside the way of appends.
func (r *Room) touch() {
	r.busy = true
	r.env.Log.Tail(r.place, func(s log.Stored, err error) {
		r.busy = false
		if err != nil && !errors.Is(err, log.ErrNotFound) {
			r.pause(err)
			return
		}
		r.warmAt = r.env.Now()
		r.stale = s.Pos != r.head.pos // somebody else has appended; or the log has lost its end
		r.step()
	})
}

// reload reads what the log has behind the head, one record after another, from
// the leader. The head then is the log's end, and messages of ours that were found
// on the way are answered.
func (r *Room) reload() {
	r.busy = true
	r.env.Log.Next(r.place, r.head.pos+1, func(s log.Stored, err error) {
		r.busy = false
		switch {
		case errors.Is(err, log.ErrNotFound) && r.attempts > 3:
			r.verify()
		case errors.Is(err, log.ErrNotFound):
			r.resolve()
		case err != nil:
			r.pause(err)
		default:
			if err := r.found(s); err != nil {
				r.pause(err)
				return
			}
			r.reload()
		}
	})
}

// found takes a record that this ledger did not know. Its writer may have died
// before it could tell anybody, so it is broadcast; edges drop what they have.
func (r *Room) found(s log.Stored) error {
	var rec wire.Record
	if err := wire.Unmarshal(s.Data, &rec); err != nil {
		return err
	}
	if rec.First != r.head.seq+1 {
		r.env.Counters.Holes.Add(1)
		r.env.Logger.Error("log has a hole", "event", "log.hole", "room", r.id, "seq", rec.First)
		// The log has lost its end, and its writer knows of what is there better.
		r.head.marks = history.Marks{Near: rec.Mark64, Far: rec.Mark1024}
		r.head.pages = pages{pos: rec.Page}
		r.index.Clear()
		r.indexed = false
	}
	r.follow(&rec, s.Pos)
	if r.indexed {
		remember(&r.index, &rec)
	}
	r.broadcastRecord(s.Pos, s.Data)
	return nil
}

// resolve answers the messages that turned out to be stored; the head is the end
// of the log again.
func (r *Room) resolve() {
	r.stale = false
	if r.indexed {
		r.recognise()
	}
	r.step()
}

// recognise takes out of the queue what the index knows.
func (r *Room) recognise() {
	keep := r.queue[:0]
	for _, p := range r.queue {
		ref, ok := r.index.Find(p.id)
		if !ok {
			keep = append(keep, p)
			continue
		}
		delete(r.waiting, p.id)
		ours := p.tried && ref.By == r.env.Epoch // its own attempt was stored, and nobody else's
		r.repeat(ref, p.sum, !ours, p.askers()...)
	}
	clear(r.queue[len(keep):])
	r.queue = keep
}

// verify looks whether the log has lost its end, which a server can after a power
// failure when it does not sync every write: the head then names a position that
// is gone, and every append would be refused for ever. Numbers go on behind those
// that were given out; clients learn of the hole by a gap.
func (r *Room) verify() {
	r.busy = true
	r.env.Log.Tail(r.place, func(s log.Stored, err error) {
		r.busy = false
		switch {
		case err != nil && !errors.Is(err, log.ErrNotFound):
			r.pause(err)
			return
		case s.Pos < r.head.pos:
			r.env.Logger.Error("log has lost acknowledged records", "event", "log.lost",
				"room", r.id, "seq", r.head.seq)
			if err := r.shorten(s); err != nil {
				r.pause(err)
				return
			}
		}
		r.resolve()
	})
}

// shorten makes s the room's last record, behind which records that were stored are
// lost. Their seqs are not given out again.
func (r *Room) shorten(s log.Stored) error {
	var rec wire.Record // without any record left: of an empty room
	if err := wire.Unmarshal(s.Data, &rec); err != nil {
		return err
	}
	r.head.pos = s.Pos
	r.head.marks = history.Marks{Near: rec.Mark64, Far: rec.Mark1024}.Advance(&rec, s.Pos)
	r.head.pages = pages{next: r.head.seq + 1}
	return nil
}
