package sequencer

import (
	"errors"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/dedup"
	"github.com/confab-chat/confab/services/room/internal/sequencer/history"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

// window reads a room's de-duplication window back, newest messages first: the
// records since the last page, then page after page; where there are no pages, or
// they do not join, the records themselves. It ends when the window is complete or the
// log has nothing older.
type window struct {
	room *Room
	task *task
	to   uint64 // the head

	tail  []*wire.Record // from the record with the last page on
	pages [][]byte       // newest first
	older dedup.Index    // of the messages before the pages
	first uint64         // all messages from first on are in tail or pages
	atMs  uint64         // when the oldest known one was stored
}

// loadWindow fills the index with the room's de-duplication window, in a task.
func (r *Room) loadWindow() {
	r.busy = true
	if !r.env.windows.startTask(r.env, r.logRoom, r.readWindow) {
		r.busy = false
		r.retryLater(errOverloaded())
	}
}

// readWindow reads the window and makes it the room's index.
func (r *Room) readWindow(t *task) {
	w := window{room: r, task: t, to: r.head.stored, first: r.head.stored + 1}
	err := w.read()
	r.busy = false
	if err != nil {
		r.retryLater(err)
		return
	}
	r.index, r.indexed = w.index(), true
	r.index.Trim(uint64(r.env.Now().UnixMilli())) // the rest of the last page
	if len(w.tail) > 0 {
		r.head.pages.next = w.tail[0].First
	} else {
		every := r.env.pageEvery()
		r.head.pages = dedupPages{0, max(r.index.First(), w.to+1-min(w.to, every))}
	}
	r.resolveStored()
	r.startNext()
}

func (w *window) read() error {
	if err := w.readTail(); err != nil {
		return err
	}
	if len(w.tail) > 0 {
		if complete, err := w.readPages(); complete || err != nil {
			return err
		}
	}
	return w.readMessages()
}

// readTail reads the records from the one with the last page on. They are few: the
// next page would be in one of them. When that record has no page, tail stays empty.
func (w *window) readTail() error {
	r := w.room
	pos := r.head.pages.pos
	if pos == 0 {
		return nil
	}
	from := w.to - min(w.to-1, r.env.pageEvery()+2*maxBatch)
	joined := true
	return history.Scan(w.task, history.Position{Pos: pos, Seq: from}, w.to, func(rec *wire.Record, at uint64) {
		if len(w.tail) == 0 && (at != pos || !hasPage(rec)) {
			joined = false
		}
		if joined {
			w.tail = append(w.tail, rec)
		}
	})
}

// hasPage reports whether rec has a plausible page.
func hasPage(rec *wire.Record) bool {
	n, _ := dedup.PageLen(rec.Known)
	return n > 0 && n < rec.First
}

// readPages takes the page of the first record of tail, then the pages before it, as
// long as they join. It reports whether the window is complete.
func (w *window) readPages() (complete bool, err error) {
	rec := w.tail[0]
	w.first = rec.First
	for {
		n, atMs := dedup.PageLen(rec.Known)
		w.pages = append(w.pages, rec.Known)
		w.first, w.atMs = w.first-n, atMs
		if w.isComplete(w.to + 1 - w.first) {
			return true, nil
		}
		if rec.Page == 0 {
			return false, nil
		}
		s, err := w.task.At(rec.Page)
		if errors.Is(err, log.ErrNotFound) {
			return false, nil // retention has removed it, or a lagging replica answered
		}
		if err != nil {
			return false, err
		}
		before := new(wire.Record)
		if wire.Unmarshal(s.Data, before) != nil || before.First != w.first || !hasPage(before) {
			return false, nil
		}
		rec = before
	}
}

// isComplete reports whether the n messages up to the head, the first stored at atMs,
// are the whole window.
func (w *window) isComplete(n uint64) bool {
	return n == w.to || dedup.Complete(int(n), w.atMs, uint64(w.room.env.Now().UnixMilli()))
}

// readMessages reads the records before first: as many as the window has at least, and
// four times as many as long as that is not enough.
func (w *window) readMessages() error {
	last := w.first - 1
	for n := min(uint64(dedup.MinMessages), last); ; n = min(n*4, dedup.MaxMessages, last) {
		reached, err := w.readOlder(n)
		if err != nil || !reached || w.isComplete(w.to-last+n) {
			return err
		}
	}
}

// readOlder fills older with the n messages before first. It reports whether the log
// reaches back that far.
func (w *window) readOlder(n uint64) (reached bool, err error) {
	r := w.room
	from, last := w.first-n, w.first-1
	w.older.Clear()
	at, err := history.Find(w.task, r.head.seq, r.head.marks, from)
	if err != nil {
		return false, err
	}
	err = history.Scan(w.task, at, last, func(rec *wire.Record, _ uint64) {
		reached = reached || rec.First <= from
		for i := range rec.Entries {
			if ref := refOf(rec, i); ref.Seq >= from && ref.Seq <= last {
				if w.older.Len() == 0 {
					w.atMs = ref.AtMs
				}
				w.older.Add(idOf(&rec.Entries[i]), ref)
			}
		}
	})
	return reached, err
}

// index puts together what was read, oldest first.
func (w *window) index() dedup.Index {
	index, seq := w.older, w.first
	for i := len(w.pages) - 1; i >= 0; i-- {
		index.AddPage(seq, w.pages[i])
		n, _ := dedup.PageLen(w.pages[i])
		seq += n
	}
	for _, rec := range w.tail {
		addToIndex(&index, rec)
	}
	return index
}
