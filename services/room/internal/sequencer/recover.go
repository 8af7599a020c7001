package sequencer

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/history"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

// appendFailed notes that the append under way was not acknowledged: its messages may be in
// the log, or may appear there until another record takes their place.
func (r *Room) appendFailed(err error) {
	for _, p := range r.queue[:r.sending] {
		p.attempted = true
	}
	r.sending, r.stale = 0, true
	if errors.Is(err, log.ErrConflict) && r.failures < 3 {
		// Another writer was faster: its record can be read at once.
		r.failures++
		return
	}
	r.retryLater(err)
}

// Delays between attempts, with jitter: it separates two owners in conflict. A stream
// without a leader needs seconds.
const (
	minDelay = 2 * time.Millisecond
	maxDelay = 400 * time.Millisecond
)

// retryLater refuses the commands whose deadline has passed, and makes the room wait before
// its next operation.
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

// loadHead reads the room's last record, when the gate permits it.
func (r *Room) loadHead() {
	r.busy = true
	if !r.env.loads.enter(r.readHead) {
		r.busy = false
		r.retryLater(errOverloaded())
	}
}

// readHead reads the last record and runs the commands that wait for it.
func (r *Room) readHead() {
	r.env.Log.Tail(r.logRoom, func(s log.Stored, err error) {
		r.busy = false
		r.env.loads.leave()
		var rec wire.Record
		switch {
		case err == nil && history.Decode(s.Data, &rec):
			r.startFrom(&rec, s.Pos)
		case err == nil:
			r.env.noteMalformed(r.logRoom, s.Pos)
			r.findHead(s.Pos)
			return
		case !errors.Is(err, log.ErrNotFound):
			r.retryLater(err)
			return
		}
		r.finishLoad()
	})
}

// startFrom makes rec, at pos, the last record of a room that is being loaded.
func (r *Room) startFrom(rec *wire.Record, pos uint64) {
	r.head.marks = history.Marks{Near: rec.Mark64, Far: rec.Mark1024}
	r.head.pages = dedupPages{pos: rec.Page}
	r.advanceHead(rec, pos)
}

// finishLoad runs the commands that waited for the head.
func (r *Room) finishLoad() {
	r.loaded, r.failures = true, 0
	r.stale = r.head.seq < r.delivered
	waiters := r.waiters
	r.waiters = nil
	for _, w := range waiters {
		w.run(nil)
	}
	r.startNext()
}

// warmFor is how long after its last use a room may be appended to at once. The server
// forgets a block that was not used for 10 s; an append would then read 8 MB from the disk
// while all other rooms of the stream wait for it.
const warmFor = 8 * time.Second

// warmLog makes the server read the room's last record, which does not hold up appends.
func (r *Room) warmLog() {
	r.busy = true
	r.env.Log.Tail(r.logRoom, func(s log.Stored, err error) {
		r.busy = false
		if err != nil && !errors.Is(err, log.ErrNotFound) {
			r.retryLater(err)
			return
		}
		r.warmAt = r.env.Now()
		r.stale = s.Pos != r.head.pos // another owner has appended, or the log has lost its end
		r.startNext()
	})
}

// catchUp reads the records behind the head, one after another, from the stream's leader.
// Then the head is the end of the log, and our own messages among those records are answered.
func (r *Room) catchUp() {
	r.busy = true
	delivered := r.delivered // before the log is read
	r.env.Log.Next(r.logRoom, r.head.pos+1, func(s log.Stored, err error) {
		r.busy = false
		switch {
		case errors.Is(err, log.ErrNotFound) && r.failures > 3:
			r.verifyEnd()
		case errors.Is(err, log.ErrNotFound):
			r.keepAhead(delivered)
			r.finishCatchUp()
		case err != nil:
			r.retryLater(err)
		default:
			r.followForeign(s)
			r.catchUp()
		}
	})
}

// followForeign makes a record that the room did not know its last one. Its writer may have
// died before broadcasting it, so it is broadcast here; edges drop what they have.
func (r *Room) followForeign(s log.Stored) {
	var rec wire.Record
	if !history.Decode(s.Data, &rec) {
		r.env.noteMalformed(r.logRoom, s.Pos)
		r.head.pos = s.Pos // the next record follows it; seqs do not
		return
	}
	if rec.First != r.head.seq+1 {
		r.env.Counters.Holes.Add(1)
		r.env.Logger.Error("message log has a hole", "event", "log.hole", "room", r.id, "seq", rec.First)
		// The log has lost its end; the record's writer knew what precedes it.
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
}

// finishCatchUp replies to the messages that turned out to be stored: the head is the end of
// the log again.
func (r *Room) finishCatchUp() {
	r.stale = r.head.seq < r.delivered
	if r.indexed {
		r.resolveStored()
	}
	r.startNext()
}

// resolveStored removes the messages from the queue that the index knows, and replies to them.
func (r *Room) resolveStored() {
	keep := r.queue[:0]
	for _, p := range r.queue {
		ref, ok := r.index.Find(p.id)
		if !ok {
			keep = append(keep, p)
			continue
		}
		delete(r.waiting, p.id)
		ours := p.attempted && ref.Epoch == r.env.Epoch // our own attempt was stored
		r.replyStored(ref, p.sum, !ours, p.recipients()...)
	}
	clear(r.queue[len(keep):])
	r.queue = keep
}

// verifyEnd checks whether the log has lost its end, which can happen after a power failure
// when a server does not sync every write. The head then names a position that no longer
// exists, and every append would be refused forever. Seqs continue after those that were
// given out; clients see the hole as a gap.
func (r *Room) verifyEnd() {
	r.busy = true
	r.env.Log.Tail(r.logRoom, func(s log.Stored, err error) {
		r.busy = false
		switch {
		case err != nil && !errors.Is(err, log.ErrNotFound):
			r.retryLater(err)
			return
		case s.Pos < r.head.pos:
			r.env.Logger.Error("message log has lost acknowledged records", "event", "log.lost",
				"room", r.id, "seq", r.head.seq)
			if !r.rewindHead(s) {
				r.startNext()
				return
			}
		}
		r.finishCatchUp()
	})
}

// rewindHead makes s the last record of a room whose later records were lost. Their seqs are
// not given out again. If s cannot be decoded, the room is to be loaded again: false.
func (r *Room) rewindHead(s log.Stored) bool {
	var rec wire.Record // stays zero when no record is left
	r.head.stored = 0
	if s.Pos > 0 {
		if !history.Decode(s.Data, &rec) {
			r.delivered, r.loaded = max(r.delivered, r.head.seq), false
			r.head = head{createdMs: r.head.createdMs}
			return false
		}
		r.head.stored = rec.Last()
	}
	r.head.pos = s.Pos
	r.head.marks = history.Marks{Near: rec.Mark64, Far: rec.Mark1024}.Advance(&rec, s.Pos)
	r.head.pages = dedupPages{next: r.head.seq + 1}
	return true
}

// NoteDelivered records that an edge has delivered the message seq. When the log turns out to
// have lost it, with its stream or its disk, the room's seqs continue after it all the same:
// members would take new messages with these seqs for repeats.
func (r *Room) NoteDelivered(seq uint64) {
	r.delivered = max(r.delivered, seq)
	if r.loaded && r.head.seq < r.delivered {
		r.stale = true // the log may have more than this owner knows
	}
}

// keepAhead moves the head to what edges had delivered when the end of the log was read, if
// that is before.
func (r *Room) keepAhead(delivered uint64) {
	if r.head.seq >= delivered {
		return
	}
	r.env.Logger.Error("message log has lost acknowledged records", "event", "log.lost",
		"room", r.id, "seq", delivered, "stored", r.head.stored)
	r.head.seq = delivered
	r.head.pages = dedupPages{next: r.head.seq + 1}
	r.env.HeadMoved(r)
}
