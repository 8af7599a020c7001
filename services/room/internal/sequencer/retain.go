package sequencer

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/dedup"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

// Retention says how much of a room is kept. What is older than MaxAge goes, and
// what is not among the last MaxMessages; both only as far as de-duplication does
// not need it: the last 1 000 messages and those of the last 10 minutes stay.
type Retention struct {
	MaxAge      time.Duration // 0: for ever
	MaxMessages uint64        // 0: all
}

const (
	// retainEvery is how often a room is looked at for messages that are too old,
	// when nothing is known of its oldest one.
	retainEvery = time.Hour

	// retainBatch is how many records one look may remove; it goes on as long as
	// there are more.
	retainBatch = 256

	// A room may outgrow MaxMessages by a part of it, so that it is not looked at
	// for every message.
	retainSlack = 8
)

// slack is by how much a room may outgrow its number.
func (keep Retention) slack() uint64 {
	if keep.MaxMessages == 0 {
		return math.MaxUint64
	}
	return max(keep.MaxMessages/retainSlack, 64)
}

// every is how often a room is looked at for its age.
func (keep Retention) every() time.Duration {
	if keep.MaxAge > 0 {
		return min(retainEvery, keep.MaxAge)
	}
	return retainEvery
}

// Retain removes what is not to be kept of a loaded room. It is to be called now and
// then, and does nothing most of the time.
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
	r.retaining = r.env.reads.enter(func() { r.expire(now, keep) })
}

// add is a+b, or as much as there can be.
func addSaturating(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// stays tells whether the record is to be kept at now.
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

// expire reads the oldest records and purges those that are not to be kept.
func (r *Room) expire(now time.Time, keep Retention) {
	head := r.head.seq
	var before uint64 // position of the first record that stays
	var found bool    // it was found
	r.env.Log.Range(r.logRoom, 1, retainBatch, 1<<20, func(s log.Stored, err error) bool {
		if err != nil {
			r.purge(now, before, found, keep)
			return false
		}
		if found {
			return true
		}
		var rec wire.Record
		if wire.Unmarshal(s.Data, &rec) != nil || keep.keeps(&rec, head, now) {
			found = true
			r.due(&rec, keep)
			return true
		}
		before = s.Pos + 1
		return true
	})
}

// due plans the next look for when rec, the oldest record left, is to go.
func (r *Room) due(rec *wire.Record, keep Retention) {
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

// purge removes what is before a position, and looks for more when none of what was
// read is to stay.
func (r *Room) purge(now time.Time, before uint64, found bool, keep Retention) {
	if before == 0 || before > r.head.pos {
		r.retained()
		return
	}
	r.env.Log.Purge(r.logRoom, before, func(n uint64, err error) {
		r.oldest = 0
		switch {
		case err != nil:
			r.env.Counters.CountRetry(err)
		case n > 0 && !found:
			r.expire(now, keep)
			return
		}
		r.retained()
	})
}

// retained ends a look.
func (r *Room) retained() {
	r.retaining = false
	r.env.reads.leave()
}

// LargeRecords is the least number of records that Retain can take something of: the
// last 1 000 messages stay, of which a record holds 64 at most.
const MinRetainRecords = dedup.MinMessages / maxBatch

// Expire is Retain for a room that may not be in memory, at once; held tells which are.
func Expire(env *Env, place log.Room, keep Retention, held func(id string) bool) {
	env.Log.Tail(place, func(s log.Stored, err error) {
		var rec wire.Record
		if err == nil {
			err = wire.Unmarshal(s.Data, &rec)
		}
		if err != nil || held(rec.Room) {
			return // there will be another round; or the room sees to it itself
		}
		r := new(Room)
		r.Init(env, rec.Room, place)
		r.loaded, r.head.seq, r.head.pos = true, rec.Last(), s.Pos
		r.retainAt = env.Now()
		r.Retain(r.retainAt, keep)
	})
}
