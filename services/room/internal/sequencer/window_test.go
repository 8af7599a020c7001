package sequencer_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer"
	"github.com/confab-chat/confab/services/room/internal/sequencer/dedup"
)

// talk has r store n messages with the client ids m<from>, m<from+1> ..., each bounds
// of them in a command, and lets the log answer.
func (w *world) store(r *sequencer.Room, from, n, each int) {
	text := func(i int) wire.Text { return wire.Text{ClientID: fmt.Sprint("m", i), Type: "TEXT", Content: "x"} }
	for i := from; i < from+n; {
		first := text(i)
		cmd := wire.Send{User: wire.User{ID: "u"}, ClientID: first.ClientID, Type: first.Type, Content: first.Content}
		for i++; i < from+n && len(cmd.More) < each-1; i++ {
			cmd.More = append(cmd.More, text(i))
		}
		r.Send(&cmd, "")
		w.RunReplies()
	}
}

// A new owner reads a page for 256 messages, and few messages one by one.
func TestPagesSpareReads(t *testing.T) {
	t.Parallel()
	w := newWorld()
	const n = 5000 // all of them young
	w.store(w.newRoom(1), 1, n, 1)
	r := w.newRoom(1)
	send(r, "new", "x", "new")
	reads := 0
	for ; len(w.Records[general]) == n; reads++ {
		w.RunStep(0, 0)
	}
	// The last record, those after the last page, the other pages, and the append.
	if most := 1 + 1 + n/256 + 1; reads > most {
		t.Errorf("%d steps, want %d at most", reads, most)
	}
	if s := w.sent("new"); s == nil || s.Seq != n+1 {
		t.Errorf("answered with %+v", s)
	}
}

// A hole in the log, of any size, makes no page too large for the log, and does not hide the
// messages before it.
func TestPagesOverAHole(t *testing.T) {
	t.Parallel()
	for _, hole := range []uint64{1, 200, 300, 100_000} {
		w := newWorld()
		w.store(w.newRoom(1), 1, 300, 1)
		rec := w.head()
		rec.First += 1 + hole
		rec.Entries[0].ClientID = "behind"
		w.Store(general, wire.Marshal(rec))
		w.store(w.newRoom(1), 301, 600, 1)
		most := 0
		for i := range w.Records[general] {
			most = max(most, len(w.record(i).Known)/40)
		}
		if most < 256 || most > 256+64 {
			t.Errorf("a hole of %d messages: a page of %d", hole, most)
		}
		r := w.newRoom(1)
		for _, id := range []string{"m1", "m300", "behind", "m301", "m900"} {
			send(r, id, "x", id)
			w.RunAll()
			if s := w.sent(id); s == nil || s.Code != "" || !s.Duplicate {
				t.Errorf("a hole of %d messages: %s is answered with %+v", hole, id, s)
			}
		}
	}
}

// A new owner recognises the messages of the window and no others, for any pages in the log: of
// several owners, of a release without pages, not at the position that a record names, after a lost
// end of the log, or deleted by retention.
func TestWindowIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		w.pageEvery = rapid.SampledFrom([]uint64{0, 1, 7, 100, 500}).Draw(t, "page")
		n := pastOf(t, w)
		within := w.window()
		retain(t, w, within)
		damage(t, w)
		head := int(w.head().Last())
		records := len(w.Records[general])
		for _, seq := range []int{
			within - 1, within, head, head + 1, 1, rapid.IntRange(1, n).Draw(t, "one"), rapid.IntRange(1, n).Draw(t, "another"),
		} {
			id := w.idOf(seq)
			if seq == head+1 {
				id = "one that was never sent"
			}
			if id == "" {
				continue // retention has taken it, or the log has lost it
			}
			r := w.newRoom(1)
			send(r, id, "x", "reply")
			w.RunAll()
			s := w.sent("reply")
			delete(w.replies, "reply")
			w.Records[general] = w.Records[general][:records]
			switch {
			case s == nil || s.Code != "":
				t.Fatalf("message %d of %d is answered with %+v", seq, head, s)
			case seq >= within && seq <= head && (!s.Duplicate || int(s.Seq) != seq):
				t.Fatalf("message %d of %d, in the window from %d, is taken for new", seq, head, within)
			case (seq < within || seq > head) && (s.Duplicate || int(s.Seq) != head+1):
				t.Fatalf("message %d of %d, not in the window from %d, is taken for %d", seq, head, within, s.Seq)
			}
		}
	})
}

// pastOf has owners store messages, and returns how many it sent.
func pastOf(t *rapid.T, w *world) (n int) {
	r := w.newRoom(1)
	r.WhenLoaded(func(error) {})
	w.RunAll()
	for range rapid.IntRange(1, 12).Draw(t, "parts") {
		part := rapid.IntRange(1, 600).Draw(t, "messages")
		w.store(r, n+1, part, rapid.SampledFrom([]int{1, 5, 64}).Draw(t, "together"))
		n += part
		w.Now = w.Now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "seconds")) * time.Second)
		switch rapid.IntRange(0, 5).Draw(t, "then") {
		case 0, 1:
			r = w.newRoom(1)
		case 2: // the server loses the end of the log, while the owner lives
			lost := rapid.IntRange(0, min(len(w.Records[general])-1, 50)).Draw(t, "lost")
			w.Records[general] = w.Records[general][:len(w.Records[general])-lost]
		case 3: // the same, and the owner dies: seqs are given out again
			lost := rapid.IntRange(0, min(len(w.Records[general])-1, 50)).Draw(t, "lost")
			w.Records[general] = w.Records[general][:len(w.Records[general])-lost]
			r = w.newRoom(1)
		}
	}
	w.store(r, n+1, 1, 1) // so that no end is missing
	w.RunAll()
	return n + 1
}

// retain removes records that are not needed for the window, as retention may.
func retain(t *rapid.T, w *world, within int) {
	gone := 0
	for gone+1 < len(w.Records[general]) && int(w.record(gone).Last()) < within {
		gone++
	}
	w.Records[general] = w.Records[general][rapid.IntRange(0, gone).Draw(t, "purged"):]
}

// damage changes the positions of pages in some successive records.
func damage(t *rapid.T, w *world) {
	records := w.Records[general]
	from := rapid.IntRange(0, len(records)).Draw(t, "damaged from")
	to := rapid.IntRange(from, len(records)).Draw(t, "damaged to")
	how := rapid.IntRange(0, 4).Draw(t, "damage") // 4: none
	other := records[rapid.IntRange(0, len(records)-1).Draw(t, "other")].Pos
	for i := from; i < to; i++ {
		rec := w.record(i)
		switch how {
		case 0: // a release that knows nothing of pages
			rec.Page, rec.Known = 0, nil
		case 1:
			rec.Page = other
		case 2:
			rec.Page++ // another room's record
		case 3:
			rec.Known = append(rec.Known, 1) // no page
		}
		records[i].Data = wire.Marshal(rec)
	}
}

func (w *world) head() *wire.Record { return w.record(len(w.Records[general]) - 1) }

// window returns the first seq of the window by its definition.
func (w *world) window() int {
	last := int(w.head().Last())
	within := last + 1
	for i := range w.Records[general] {
		rec := w.record(i)
		for k, e := range rec.Entries {
			seq := int(rec.First) + k
			if seq > last-dedup.MinMessages || e.AtMs+dedup.WindowMs >= uint64(w.Now.UnixMilli()) {
				within = min(within, seq)
			}
		}
	}
	return within
}

// idOf is the client id of message seq, "" when the log has none.
func (w *world) idOf(seq int) string {
	for i := range w.Records[general] {
		if rec := w.record(i); seq >= int(rec.First) && seq <= int(rec.Last()) {
			return rec.Entries[seq-int(rec.First)].ClientID
		}
	}
	return ""
}
