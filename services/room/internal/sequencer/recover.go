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
func (r *Room) appendFailed(err error) {
	for _, p := range r.queue[:r.sending] {
		p.attempted = true
	}
	r.sending, r.stale = 0, true
	if errors.Is(err, log.ErrConflict) && r.failures < 3 {
		// Somebody else was faster: what to read is there already.
		r.failures++
		return
	}
	r.retryLater(err)
}

// Delays between attempts. Two owners in conflict come apart by chance; a stream
// without a leader needs seconds.
const (
	minDelay = 2 * time.Millisecond
	maxDelay = 400 * time.Millisecond
)

// pause holds the room for a while and answers those whose time is over.
func (r *Room) retryLater(err error) {
	r.env.Counters.CountRetry(err)
	now := r.env.Now()
	r.expireQueue(now)
	n := 0
	for _, w := range r.waiters {
		if w.deadline.Before(now) {
			w.run(errLogUnavailable())
			continue
		}
		r.waiters[n] = w
		n++
	}
	clear(r.waiters[n:])
	r.waiters = r.waiters[:n]
	r.failures++
	ceiling := min(minDelay<<min(r.failures, 10), maxDelay)
	r.busy = true
	r.env.After(ceiling/2+rand.N(ceiling/2), func() {
		r.busy = false
		r.startNext()
	})
}

// load reads the room's last record, when its turn comes.
func (r *Room) loadHead() {
	r.busy = true
	if !r.env.loads.enter(r.readHead) {
		r.busy = false
		r.retryLater(errOverloaded())
	}
}

func (r *Room) readHead() {
	r.env.Log.Tail(r.logRoom, func(s log.Stored, err error) {
		r.busy = false
		r.env.loads.leave()
		var rec wire.Record
		switch {
		case err == nil:
			if err = wire.Unmarshal(s.Data, &rec); err == nil {
				r.head.marks = history.Marks{Near: rec.Mark64, Far: rec.Mark1024}
				r.head.pages = dedupPages{pos: rec.Page}
				r.advanceHead(&rec, s.Pos)
			}
		}
		if err != nil && !errors.Is(err, log.ErrNotFound) {
			r.retryLater(err)
			return
		}
		r.loaded, r.failures = true, 0
		waiters := r.waiters
		r.waiters = nil
		for _, w := range waiters {
			w.run(nil)
		}
		r.startNext()
	})
}

// coldAfter is how long a room may have been idle and still be appended to at once.
// The server forgets a block that was not used for 10 s; an append would then read
// 8 MB of the disk while all other rooms of the stream wait for it.
const warmFor = 8 * time.Second

// touch has the server read the room's last record, outside the way of appends.
func (r *Room) warmLog() {
	r.busy = true
	r.env.Log.Tail(r.logRoom, func(s log.Stored, err error) {
		r.busy = false
		if err != nil && !errors.Is(err, log.ErrNotFound) {
			r.retryLater(err)
			return
		}
		r.warmAt = r.env.Now()
		r.stale = s.Pos != r.head.pos // somebody else has appended; or the log has lost its end
		r.startNext()
	})
}

// reload reads what the log has behind the head, one record after another, from
// the leader. The head then is the log's end, and messages of ours that were found
// on the way are answered.
func (r *Room) catchUp() {
	r.busy = true
	r.env.Log.Next(r.logRoom, r.head.pos+1, func(s log.Stored, err error) {
		r.busy = false
		switch {
		case errors.Is(err, log.ErrNotFound) && r.failures > 3:
			r.verifyEnd()
		case errors.Is(err, log.ErrNotFound):
			r.finishCatchUp()
		case err != nil:
			r.retryLater(err)
		default:
			if err := r.followForeign(s); err != nil {
				r.retryLater(err)
				return
			}
			r.catchUp()
		}
	})
}

// found takes a record that this ledger did not know. Its writer may have died
// before it could tell anybody, so it is broadcast; edges drop what they have.
func (r *Room) followForeign(s log.Stored) error {
	var rec wire.Record
	if err := wire.Unmarshal(s.Data, &rec); err != nil {
		return err
	}
	if rec.First != r.head.seq+1 {
		r.env.Counters.Holes.Add(1)
		r.env.Logger.Error("log has a hole", "event", "log.hole", "room", r.id, "seq", rec.First)
		// The log has lost its end, and its writer knows of what is there better.
		r.head.marks = history.Marks{Near: rec.Mark64, Far: rec.Mark1024}
		r.head.pages = dedupPages{pos: rec.Page}
		r.index.Clear()
		r.indexed = false
	}
	r.advanceHead(&rec, s.Pos)
	if r.indexed {
		addToIndex(&r.index, &rec)
	}
	r.broadcastRecord(s.Pos, s.Data)
	return nil
}

// resolve answers the messages that turned out to be stored; the head is the end
// of the log again.
func (r *Room) finishCatchUp() {
	r.stale = false
	if r.indexed {
		r.resolveStored()
	}
	r.startNext()
}

// recognise takes out of the queue what the index knows.
func (r *Room) resolveStored() {
	keep := r.queue[:0]
	for _, p := range r.queue {
		ref, ok := r.index.Find(p.id)
		if !ok {
			keep = append(keep, p)
			continue
		}
		delete(r.waiting, p.id)
		ours := p.attempted && ref.Epoch == r.env.Epoch // its own attempt was stored, and nobody else's
		r.replyStored(ref, p.sum, !ours, p.recipients()...)
	}
	clear(r.queue[len(keep):])
	r.queue = keep
}

// verify looks whether the log has lost its end, which a server can after a power
// failure when it does not sync every write: the head then names a position that
// is gone, and every append would be refused for ever. Numbers go on behind those
// that were given out; clients learn of the hole by a gap.
func (r *Room) verifyEnd() {
	r.busy = true
	r.env.Log.Tail(r.logRoom, func(s log.Stored, err error) {
		r.busy = false
		switch {
		case err != nil && !errors.Is(err, log.ErrNotFound):
			r.retryLater(err)
			return
		case s.Pos < r.head.pos:
			r.env.Logger.Error("log has lost acknowledged records", "event", "log.lost",
				"room", r.id, "seq", r.head.seq)
			if err := r.rewindHead(s); err != nil {
				r.retryLater(err)
				return
			}
		}
		r.finishCatchUp()
	})
}

// shorten makes s the room's last record, behind which records that were stored are
// lost. Their seqs are not given out again.
func (r *Room) rewindHead(s log.Stored) error {
	var rec wire.Record // without any record left: of an empty room
	if err := wire.Unmarshal(s.Data, &rec); err != nil {
		return err
	}
	r.head.pos = s.Pos
	r.head.marks = history.Marks{Near: rec.Mark64, Far: rec.Mark1024}.Advance(&rec, s.Pos)
	r.head.pages = dedupPages{next: r.head.seq + 1}
	return nil
}
