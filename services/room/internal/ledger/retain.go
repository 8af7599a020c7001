package ledger

import (
	"math/rand/v2"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/dedup"
	"github.com/confab-chat/confab/services/room/internal/log"
)

const (
	// retainEvery is how often a room is looked at for messages that are too old,
	// when nothing is known of its oldest one.
	retainEvery = time.Hour

	// retainBatch is how many records one look may remove; it goes on as long as
	// there are more.
	retainBatch = 256
)

// Retain removes the messages of a loaded room that are older than maxAge, but
// never the last record, nor what de-duplication needs. It is to be called now and
// then, and does nothing most of the time.
func (r *Room) Retain(now time.Time, maxAge time.Duration) {
	switch {
	case maxAge <= 0 || !r.loaded || r.head.seq <= dedup.MinMessages || now.Before(r.retainAt):
		return
	case r.retainAt.IsZero():
		// Not all rooms of a new owner at once.
		r.retainAt = now.Add(rand.N(min(retainEvery, maxAge)))
		return
	}
	r.retainAt = now.Add(min(retainEvery, maxAge))
	r.env.reads.enter(func() { r.expire(now, maxAge) })
}

// expire reads the oldest records and purges those that are too old.
func (r *Room) expire(now time.Time, maxAge time.Duration) {
	cutoff := uint64(now.Add(-max(maxAge, dedup.WindowMs*time.Millisecond)).UnixMilli())
	keep := r.head.seq - dedup.MinMessages // messages behind it stay
	var before uint64                      // position of the first record that stays
	var stays bool                         // it was found
	r.env.Log.Range(r.place, 1, retainBatch, 1<<20, func(s log.Stored, err error) bool {
		if err != nil {
			r.purge(now, before, stays, maxAge)
			return false
		}
		if stays {
			return true
		}
		var rec wire.Record
		if wire.Unmarshal(s.Data, &rec) != nil || len(rec.Entries) == 0 ||
			rec.Last() > keep || rec.Entries[len(rec.Entries)-1].AtMs >= cutoff {
			stays = true
			r.due(&rec, maxAge)
			return true
		}
		before = s.Pos + 1
		return true
	})
}

// due plans the next look for when rec, the oldest record left, is too old.
func (r *Room) due(rec *wire.Record, maxAge time.Duration) {
	if n := len(rec.Entries); n > 0 {
		if at := time.UnixMilli(int64(rec.Entries[n-1].AtMs)).Add(maxAge); at.After(r.retainAt) {
			r.retainAt = at
		}
	}
}

// purge removes what is before a position, and looks for more when all that was
// read was too old.
func (r *Room) purge(now time.Time, before uint64, all bool, maxAge time.Duration) {
	if before == 0 || before > r.head.pos {
		r.env.reads.leave()
		return
	}
	r.env.Log.Purge(r.place, before, func(n uint64, err error) {
		switch {
		case err != nil:
			r.env.Count.Failed(err)
		case n > 0 && !all:
			r.oldest = 0
			r.expire(now, maxAge)
			return
		}
		r.oldest = 0
		r.env.reads.leave()
	})
}
