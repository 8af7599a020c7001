package sequencer

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/dedup"
	"github.com/confab-chat/confab/services/room/internal/sequencer/history"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

// Retention says how much of a room is kept. Messages older than MaxAge are removed, and
// those beyond the last MaxMessages; but never those that de-duplication needs: the last
// 1 000 messages and those of the last 10 minutes.
type Retention struct {
	MaxAge      time.Duration // 0: unlimited
	MaxMessages uint64        // 0: unlimited
}

const (
	// A room is checked for messages that are too old after a 168th of MaxAge, within these
	// bounds: each hour for a week, as removing messages costs the server more than keeping
	// them, and each half minute for ages of up to an hour or so.
	retainShare  = 168
	minRetention = 30 * time.Second
	maxRetention = time.Hour

	// retainBatch is how many records one read may bring and one purge remove; the check
	// repeats as long as there are more.
	retainBatch      = 256
	retainBatchBytes = 1 << 20

	// retainSlack is the part of MaxMessages, an eighth, by which a room may outgrow it,
	// so that it is not checked for every message.
	retainSlack = 8

	// MinRetainRecords is the least number of records of which retention can remove any:
	// the last 1 000 messages stay, at most 64 in a record.
	MinRetainRecords = dedup.MinMessages / maxBatch
)

// slack returns by how many messages a room may outgrow MaxMessages.
func (keep Retention) slack() uint64 {
	if keep.MaxMessages == 0 {
		return math.MaxUint64
	}
	return max(keep.MaxMessages/retainSlack, 64)
}

// every returns how often a room is checked for its age.
func (keep Retention) every() time.Duration {
	if keep.MaxAge > 0 {
		return min(max(keep.MaxAge/retainShare, minRetention), maxRetention)
	}
	return maxRetention
}

// Retain removes the messages of a loaded room that are not to be kept, in a task. It
// should be called now and then, and does nothing most of the time.
func (r *Room) Retain(now time.Time, keep Retention) {
	switch {
	case keep == Retention{} || !r.loaded || r.retaining || r.head.seq <= dedup.MinMessages:
		return
	case r.retainAt.IsZero():
		// Not all rooms of a new owner at once.
		r.retainAt = now.Add(rand.N(keep.every()))
		r.retainSeq = addSaturating(r.head.seq, keep.slack())
		return
	case now.Before(r.retainAt) && r.head.seq < r.retainSeq:
		return
	}
	r.retainAt = now.Add(keep.every())
	r.retainSeq = addSaturating(r.head.seq, keep.slack())
	r.retaining = true
	started := r.env.reads.startTask(r.env, r.logRoom, func(t *task) {
		r.purgeExpired(t, keep)
		r.retaining = false
	})
	if !started {
		r.retaining = false
	}
}

// RetainUnopened is Retain, at once, for a room that may not be in memory. inMemory
// reports which rooms are: those check themselves.
func RetainUnopened(env *Env, logRoom log.Room, keep Retention, inMemory func(id string) bool) {
	// When too many reads wait, or this one fails, the next sweep finds the room again.
	_ = env.reads.startTask(env, logRoom, func(t *task) {
		s, err := t.Tail()
		var rec wire.Record
		if err != nil || wire.Unmarshal(s.Data, &rec) != nil || inMemory(rec.Room) || rec.Last() <= dedup.MinMessages {
			return
		}
		r := new(Room)
		r.Init(env, rec.Room, logRoom)
		r.loaded, r.head.seq, r.head.pos = true, rec.Last(), s.Pos
		r.purgeExpired(t, keep)
	})
}

// addSaturating returns a+b, or the largest number when that overflows.
func addSaturating(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// keeps reports whether the record is to be kept at now, in a room with the given head.
func (keep Retention) keeps(rec *wire.Record, head uint64, now time.Time) bool {
	n := len(rec.Entries)
	if n == 0 || addSaturating(rec.Last(), dedup.MinMessages) > head {
		return true
	}
	age := now.Sub(time.UnixMilli(int64(rec.Entries[n-1].AtMs)))
	switch {
	case age <= dedup.WindowMs*time.Millisecond:
		return true
	case keep.MaxAge > 0 && age > keep.MaxAge:
		return false
	}
	return keep.MaxMessages == 0 || addSaturating(rec.Last(), keep.MaxMessages) > head
}

// purgeExpired removes the oldest records, batch by batch, up to the first one that is to
// be kept.
func (r *Room) purgeExpired(t *task, keep Retention) {
	for {
		before, done := r.findExpired(t, keep)
		if before == 0 || before > r.head.pos {
			return
		}
		n, err := t.Purge(before)
		r.oldest = 0 // it has to be read again
		if err != nil {
			r.env.Counters.CountRetry(err)
			return
		}
		if done || n == 0 {
			return
		}
	}
}

// findExpired reads the oldest records. All before position before are to be removed;
// done reports that a record was found which is to be kept.
func (r *Room) findExpired(t *task, keep Retention) (before uint64, done bool) {
	head, now := r.head.seq, r.env.Now()
	for s, err := range t.Range(1, retainBatch, retainBatchBytes) {
		if err != nil {
			break // the end; after a failure, what was read until then may still be removed
		}
		var rec wire.Record
		if !history.Decode(s.Data, &rec) {
			continue // it goes with the next record that is removed
		}
		if keep.keeps(&rec, head, now) {
			r.scheduleRetention(&rec, keep)
			return before, true
		}
		before = s.Pos + 1
	}
	return before, false
}

// scheduleRetention plans the next check for when rec, the oldest record left, is to be
// removed.
func (r *Room) scheduleRetention(rec *wire.Record, keep Retention) {
	n := len(rec.Entries)
	if n == 0 {
		return
	}
	if keep.MaxAge > 0 {
		old := max(keep.MaxAge, dedup.WindowMs*time.Millisecond)
		if at := time.UnixMilli(int64(rec.Entries[n-1].AtMs)).Add(old); at.After(r.retainAt) {
			r.retainAt = at
		}
	}
	r.retainSeq = addSaturating(rec.First+keep.MaxMessages, keep.slack())
}
