package sequencer

import (
	"errors"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/dedup"
	"github.com/confab-chat/confab/services/room/internal/sequencer/history"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

// window reads a room's de-duplication window back, newest messages first: the
// records since the last page, then page after page; and where there are no pages,
// or they do not join, the records themselves. It ends when the window is complete
// or the log has no more of it.
type window struct {
	room *Room
	to   uint64 // the head

	tail  []*wire.Record // from the record with the last page on
	pages [][]byte       // newest first
	older dedup.Index    // of the messages before the pages
	first uint64         // all messages from first on are in tail or pages
	atMs  uint64         // when the oldest one known was stored
}

// rebuild fills the index with the room's de-duplication window, when its turn comes.
func (r *Room) loadWindow() {
	r.busy = true
	w := &window{room: r, to: r.head.seq, first: r.head.seq + 1}
	if !r.env.windows.enter(w.begin) {
		r.busy = false
		r.retryLater(errOverloaded())
	}
}

// begin reads the records from the last page on. There are few: the next page would
// be in one of them.
func (w *window) begin() {
	r := w.room
	pos := r.head.pages.pos
	if pos == 0 {
		w.messages(dedup.MinMessages)
		return
	}
	joined := true
	from := w.to - min(w.to-1, r.env.pageEvery()+2*maxBatch)
	history.Scan(r.env.Log, r.logRoom, history.Position{Pos: pos, Seq: from}, w.to, func(rec *wire.Record, at uint64) {
		if len(w.tail) == 0 && (at != pos || !hasPage(rec)) {
			joined = false
		}
		if joined {
			w.tail = append(w.tail, rec)
		}
	}, func(err error) {
		switch {
		case err != nil:
			w.end(err)
		case !joined:
			w.messages(dedup.MinMessages)
		default:
			w.first = w.tail[0].First
			w.page(w.tail[0])
		}
	})
}

// hasPage tells whether rec has a page that can be true.
func hasPage(rec *wire.Record) bool {
	n, _ := dedup.PageLen(rec.Known)
	return n > 0 && n < rec.First
}

// page takes the page of the record that begins with message first, and goes on
// to the one before.
func (w *window) page(rec *wire.Record) {
	n, atMs := dedup.PageLen(rec.Known)
	w.pages = append(w.pages, rec.Known)
	w.first, w.atMs = w.first-n, atMs
	switch {
	case w.complete(w.to + 1 - w.first):
		w.end(nil)
		return
	case rec.Page == 0:
		w.messages(dedup.MinMessages)
		return
	}
	r := w.room
	r.env.Log.At(r.logRoom, rec.Page, func(s log.Stored, err error) {
		var before wire.Record
		switch {
		case errors.Is(err, log.ErrNotFound):
			// Retention has taken it, or the replica that answers lags: the
			// messages will tell.
		case err != nil:
			w.end(err)
			return
		case wire.Unmarshal(s.Data, &before) == nil && before.First == w.first && hasPage(&before):
			w.page(&before)
			return
		}
		w.messages(dedup.MinMessages)
	})
}

// complete tells whether n messages, of which the first was stored at atMs, are all
// of the window.
func (w *window) complete(n uint64) bool {
	return n == w.to || dedup.Complete(int(n), w.atMs, uint64(w.room.env.Now().UnixMilli()))
}

// messages reads the n messages before first, and more when those are not enough.
func (w *window) messages(n uint64) {
	r := w.room
	last := w.first - 1
	n = min(n, last)
	from := w.first - n
	w.older.Clear()
	more := false // the log reaches back to from
	read := func(rec *wire.Record, _ uint64) {
		more = more || rec.First <= from
		for i := range rec.Entries {
			if ref := refOf(rec, i); ref.Seq >= from && ref.Seq <= last {
				if w.older.Len() == 0 {
					w.atMs = ref.AtMs
				}
				w.older.Add(idOf(&rec.Entries[i]), ref)
			}
		}
	}
	done := func(err error) {
		if err == nil && more && !w.complete(w.to-last+n) {
			w.messages(min(n*4, dedup.MaxMessages))
			return
		}
		w.end(err)
	}
	history.Find(r.env.Log, r.logRoom, r.head.seq, r.head.marks, from, func(at history.Position, err error) {
		if err != nil {
			done(err)
			return
		}
		history.Scan(r.env.Log, r.logRoom, at, last, read, done)
	})
}

// end makes what was read the room's index.
func (w *window) end(err error) {
	r := w.room
	r.busy = false
	if err != nil {
		r.retryLater(err)
		r.env.windows.leave()
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
	r.env.windows.leave()
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
