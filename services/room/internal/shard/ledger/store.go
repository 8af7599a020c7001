package ledger

import (
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

// storeAll puts everything that is held at the end of the queue: departures that wait in it
// must be stored before a state without them.
func (l *Ledger) storeAll() {
	before := len(l.queue)
	l.cfg.State(func(h Holding) { l.queue = append(l.queue, &Entry{holding: &h, at: l.cfg.Now()}) })
	l.rewrite, l.held, l.stored = false, len(l.queue)-before, 0
	if l.held == 0 {
		l.queue = append(l.queue, &Entry{at: l.cfg.Now()})
	}
	l.first, l.last = l.queue[before], l.queue[len(l.queue)-1]
}

// record returns the next record, of the first entries of the queue.
func (l *Ledger) record() *wire.Changes {
	l.batch++
	rec := &wire.Changes{Epoch: l.cfg.Epoch, Batch: l.batch, AtMs: uint64(l.cfg.Now().UnixMilli()), Sent: l.sent}
	edges := make(map[wire.Origin]uint64)
	size := 0
	for _, e := range l.queue {
		if l.inFlight == maxEntries || size > maxBytes {
			break
		}
		l.inFlight++
		if h := e.holding; h != nil {
			if h.Edge = 0; h.Origin.Edge != "" {
				if edges[h.Origin] == 0 {
					rec.Edges = append(rec.Edges, h.Origin)
					edges[h.Origin] = uint64(len(rec.Edges))
					size += len(h.Origin.Edge) + 16
				}
				h.Edge = edges[h.Origin]
			}
			rec.Holdings = append(rec.Holdings, h.Holding)
			size += sizeOf(h.Room, h.User, h.Rooms)
		}
		if n := e.news; n != nil {
			rec.News = append(rec.News, *n)
			size += sizeOf(n.Room, n.User, n.Rooms) + sizeOf("", wire.User{}, n.Known)
		}
	}
	return rec
}

// sizeOf returns about how many bytes an entry takes.
func sizeOf(room string, u wire.User, rooms []string) int {
	n := 32 + len(room) + len(u.ID) + len(u.Name)
	for _, r := range rooms {
		n += len(r) + 2
	}
	return n
}

// append stores a record of the first entries of the queue.
func (l *Ledger) append(rec *wire.Changes) {
	l.busy = true
	l.cfg.Log.Append(l.room, l.pos, wire.Marshal(rec), func(pos uint64, err error) {
		l.busy = false
		if err == nil {
			l.committed(pos, rec)
			return
		}
		l.cfg.Logger.Debug("ledger not stored", "err", err)
		l.recover(rec)
	})
}

// committed announces what is stored.
func (l *Ledger) committed(pos uint64, rec *wire.Changes) {
	l.pos = pos
	l.stored += len(rec.Holdings)
	if len(rec.News) > 0 {
		l.cfg.Announcing()
	}
	done := l.queue[:l.inFlight]
	l.queue, l.inFlight = l.queue[l.inFlight:], 0
	for _, e := range done {
		if e == l.first {
			l.oldest = pos
		}
		if e == l.last {
			l.first, l.last = nil, nil
			l.cfg.Log.Purge(l.room, l.oldest, func(_ uint64, err error) {
				if err != nil {
					l.cfg.Logger.Debug("ledger not shortened", "err", err)
				}
			})
		}
		e.finish()
	}
	if len(l.queue) == 0 {
		l.queue = nil
	}
}

func (e *Entry) finish() {
	if f := e.run; f != nil {
		e.run = nil
		f()
	}
}

// recover finds out what became of a record after an append has failed.
func (l *Ledger) recover(rec *wire.Changes) {
	l.busy = true
	l.cfg.Log.Tail(l.room, func(s log.Stored, err error) {
		l.busy = false
		last, known := tailOf(s, err)
		switch {
		case !known:
			l.rest(func() { l.recover(rec) })
			return
		case last.Epoch > l.cfg.Epoch:
			l.giveUp()
			return
		case last.Epoch == l.cfg.Epoch && last.Batch == rec.Batch:
			l.committed(s.Pos, rec)
			return
		case s.Pos != l.pos: // the stream was lost, or restored from a backup
			l.pos, l.rewrite = s.Pos, true
		}
		l.inFlight = 0
		l.rest(nil)
	})
}

// rest waits before the next attempt.
func (l *Ledger) rest(then func()) {
	l.busy = true
	l.announceOverdue()
	l.cfg.After(retryAfter, func() {
		l.busy = false
		if then != nil {
			then()
		}
	})
}

// announceOverdue announces what has waited for too long.
func (l *Ledger) announceOverdue() {
	for _, e := range l.queue {
		if l.cfg.Now().Sub(e.at) < announceAnyway || !l.cfg.Valid() {
			return
		}
		e.finish()
	}
}

// giveUp ends the ledger: another owner has begun, and announces everything from here on.
func (l *Ledger) giveUp() {
	l.over, l.queue, l.inFlight, l.first, l.last = true, nil, 0, nil, nil
	l.cfg.Logger.Info("another owner of the shard has begun", "event", "ledger.over")
}
