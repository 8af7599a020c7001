package sequencer

import (
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/dedup"
)

// dedupPages says where the pages of the index are in the log (wire.Record.Known).
type dedupPages struct {
	pos  uint64 // of the record with the last page; 0: none
	next uint64 // seq of the first message that is in no page; 0: unknown
}

// advance returns p after the record rec was stored at pos.
func (p dedupPages) advance(rec *wire.Record, pos uint64) dedupPages {
	switch {
	case len(rec.Known) > 0:
		return dedupPages{pos, rec.First}
	case rec.Page != p.pos:
		return dedupPages{0, rec.First} // its writer does not know pages, or knows other ones
	}
	return p
}

// addPage adds the page that is due to rec, the next record.
func (r *Room) addPage(rec *wire.Record) {
	p, every := &r.head.pages, r.env.pageEvery()
	switch first := r.index.First(); {
	case first == 0:
		*p = dedupPages{0, rec.First}
	case p.next < first: // unknown, or the index was cleared since
		*p = dedupPages{0, first}
	}
	if rec.First > p.next+every+maxBatch { // a hole: a page over it would be unbounded
		*p = dedupPages{0, rec.First}
	}
	rec.Page = p.pos
	if rec.First >= p.next+every {
		r.env.scratchPage = r.index.AppendPage(r.env.scratchPage[:0], p.next)
		rec.Known = r.env.scratchPage
	}
}

// idOf and refOf return what the index keeps of a message.
func idOf(e *wire.Entry) dedup.ID { return dedup.Key{User: e.User, ClientID: e.ClientID}.ID() }

func refOf(rec *wire.Record, i int) dedup.Ref {
	e := &rec.Entries[i]
	return dedup.Ref{Seq: rec.First + uint64(i), Sum: e.Sum, AtMs: e.AtMs, Epoch: rec.Epoch}
}

// addToIndex adds all messages of rec to index.
func addToIndex(index *dedup.Index, rec *wire.Record) {
	for i := range rec.Entries {
		index.Add(idOf(&rec.Entries[i]), refOf(rec, i))
	}
}
