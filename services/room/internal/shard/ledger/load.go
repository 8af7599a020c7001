package ledger

import (
	"errors"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

const (
	// loadBatch and loadBytes bound one read.
	loadBatch = 1000
	loadBytes = 1 << 20

	// doubtful is how many of the last records may not have been announced everywhere: their
	// announcements are repeated.
	doubtful = 2
)

// Loader receives what a ledger holds. All functions are called on the shard's goroutine.
type Loader struct {
	Restore  func(Holding)    // in order
	Announce func(*wire.News) // again: the predecessor may not have done it
	Done     func()           // once, at the end
}

// loading is a Load under way.
type loading struct {
	Loader
	fence   uint64 // position of our first record
	next    uint64 // where to read on
	records int
	doubts  []int // of the last records, how many news each has
}

// Load reads the ledger, and repeats it until it succeeds or another owner has begun.
func (l *Ledger) Load(to Loader) {
	l.load = &loading{Loader: to, next: 1}
	l.begin()
}

// begin appends our first record behind the last one.
func (l *Ledger) begin() {
	l.cfg.Log.Tail(l.room, func(s log.Stored, err error) {
		last, known := tailOf(s, err)
		switch {
		case !known:
			l.cfg.After(retryAfter, l.begin)
			return
		case last.Epoch > l.cfg.Epoch:
			l.giveUp()
			return
		case last.Epoch == l.cfg.Epoch && last.Batch == 1: // an append whose outcome was unknown
			l.begun(s.Pos)
			return
		}
		l.batch, l.fresh = 1, s.Pos == 0
		rec := &wire.Changes{Epoch: l.cfg.Epoch, Batch: 1, AtMs: uint64(l.cfg.Now().UnixMilli())}
		l.cfg.Log.Append(l.room, s.Pos, wire.Marshal(rec), func(pos uint64, err error) {
			if err != nil {
				l.cfg.After(retryAfter, l.begin)
				return
			}
			l.begun(pos)
		})
	})
}

func (l *Ledger) begun(pos uint64) {
	l.pos, l.load.fence = pos, pos
	l.read()
}

// read reads up to our first record. A replica that lags may not have it yet.
func (l *Ledger) read() {
	arrived := false
	l.cfg.Log.Range(l.room, l.load.next, loadBatch, loadBytes, func(s log.Stored, err error) bool {
		switch {
		case err == nil:
			arrived = true
			return l.restore(s)
		case errors.Is(err, log.ErrEnd) && arrived:
			l.read()
		default:
			l.cfg.After(retryAfter, l.read)
		}
		return false
	})
}

// restore processes one record, and reports whether more follow.
func (l *Ledger) restore(s log.Stored) (more bool) {
	load := l.load
	if load.next = s.Pos + 1; s.Pos >= load.fence {
		l.finishLoad()
		return false
	}
	rec := new(wire.Changes)
	if err := wire.Unmarshal(s.Data, rec); err != nil {
		l.cfg.Logger.Warn("malformed record in the ledger", "event", "ledger.malformed", "pos", s.Pos)
		return true
	}
	if load.records++; load.records == 1 {
		l.since = rec.Sent // the records before it were removed
	}
	l.stored += len(rec.Holdings)
	for _, h := range rec.Holdings {
		full := Holding{Holding: h}
		if h.Edge > 0 && h.Edge <= uint64(len(rec.Edges)) {
			full.Origin = rec.Edges[h.Edge-1]
		}
		load.Restore(full)
	}
	for i := range rec.News {
		n := &rec.News[i]
		l.number = max(l.number, lastNumber(n))
		l.remember(n, time.UnixMilli(int64(rec.AtMs)))
	}
	if len(rec.News) > 0 {
		load.doubts = append(load.doubts, len(rec.News))
		load.doubts = load.doubts[max(0, len(load.doubts)-doubtful):]
	}
	return true
}

func (l *Ledger) finishLoad() {
	load := l.load
	l.load = nil
	// Numbers must not be used twice, even if the end of the ledger was lost.
	l.number = max(l.number, uint64(l.cfg.Now().UnixMicro()))
	l.sent = l.number
	l.cfg.State(func(Holding) { l.held++ })
	load.Done()
	doubts := 0
	for _, n := range load.doubts {
		doubts += n
	}
	for _, n := range l.recent[max(0, len(l.recent)-doubts):] {
		load.Announce(n.News)
	}
}

// tailOf decodes the last record; known is false when it could not be read. A malformed one
// counts as one of an earlier owner.
func tailOf(s log.Stored, err error) (last wire.Changes, known bool) {
	if errors.Is(err, log.ErrNotFound) {
		return last, true
	}
	if err != nil {
		return last, false
	}
	if wire.Unmarshal(s.Data, &last) != nil {
		return wire.Changes{}, true
	}
	return last, true
}
