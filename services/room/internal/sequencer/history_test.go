package sequencer_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer"
	"github.com/confab-chat/confab/services/room/internal/sequencer/dedup"
	"github.com/confab-chat/confab/services/room/internal/sequencer/history"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log/logtest"
)

// fill stores messages 1 to n in records of the sizes that size gives; message seq
// was accepted at atMs(seq), with client id m<seq>.
func (w *world) fill(n int, size func() int, atMs func(seq int) uint64) {
	var m history.Marks
	for seq := 1; seq <= n; {
		rec := &wire.Record{First: uint64(seq), Mark64: m.Near, Mark1024: m.Far, Room: "general", CreatedMs: atMs(1)}
		for range min(max(size(), 1), 64, n-seq+1) {
			rec.Entries = append(rec.Entries, wire.Entry{
				User: "u", ClientID: fmt.Sprint("m", seq), Sum: sequencer.Sum("TEXT", "x"), AtMs: atMs(seq),
				JSON: fmt.Appendf(nil, `{"id":"id%d","content":"x"}`, seq),
			})
			seq++
		}
		m = m.Advance(rec, w.Store(general, wire.Marshal(rec)))
	}
}

func (w *world) messages(reply string) *wire.Messages {
	var m wire.Messages
	if len(w.replies[reply]) != 1 {
		panic(fmt.Sprintf("%d answers", len(w.replies[reply])))
	}
	if err := wire.Unmarshal(w.replies[reply][0], &m); err != nil {
		panic(err)
	}
	delete(w.replies, reply)
	return &m
}

// Every page holds the messages that the contract names, for any log: whole or without its
// beginning, in memory, partly in memory, or not.
func TestHistoryAnswersWhatTheLogHolds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		n := rapid.SampledFrom([]int{0, 1, 5, 63, 64, 65, 300, 1023, 1024, 1025, 2500}).Draw(t, "messages")
		most := rapid.SampledFrom([]int{1, 3, 64}).Draw(t, "batch")
		sizes := rapid.SliceOfN(rapid.IntRange(1, most), 16, 16).Draw(t, "sizes")
		i := 0
		w.fill(n, func() int { i++; return sizes[i%16] }, func(int) uint64 { return 1_000 })
		gone := rapid.IntRange(0, max(len(w.Records[general])-1, 0)).Draw(t, "purged")
		if rapid.Bool().Draw(t, "purge") {
			w.Records[general] = w.Records[general][gone:]
		}
		oldest := uint64(0)
		if len(w.Records[general]) > 0 {
			var rec wire.Record
			if err := wire.Unmarshal(w.Records[general][0].Data, &rec); err != nil {
				t.Fatal(err)
			}
			oldest = rec.First
		}
		r := w.newRoom(1)
		for range rapid.IntRange(1, 4).Draw(t, "queries") {
			q := query(t, uint64(n))
			r.History(q, "page")
			w.RunAll()
			check(t, q, w.messages("page"), uint64(n), oldest)
		}
	})
}

func query(t *rapid.T, head uint64) *wire.History {
	q := &wire.History{Room: "general", Limit: uint64(rapid.IntRange(1, 200).Draw(t, "limit"))}
	at := uint64(rapid.IntRange(0, int(head)+3).Draw(t, "at"))
	switch rapid.IntRange(0, 2).Draw(t, "direction") {
	case 0:
		q.HasAfter, q.After = true, at
	case 1:
		q.Before = max(at, 1)
	}
	return q
}

// check compares a page with the model: messages oldest to head are there.
func check(t *rapid.T, q *wire.History, m *wire.Messages, head, oldest uint64) {
	var want []uint64
	for seq := oldest; seq <= head && seq > 0; seq++ {
		if q.HasAfter && seq > q.After || !q.HasAfter && (q.Before == 0 || seq < q.Before) {
			want = append(want, seq)
		}
	}
	more := uint64(len(want)) > q.Limit
	if more && q.HasAfter {
		want = want[:q.Limit]
	} else if more {
		want = want[uint64(len(want))-q.Limit:]
	}
	if m.Code != "" || len(m.Items) != len(want) || m.More != more || m.Head != head {
		t.Fatalf("%+v: %d items, more %v, head %d, code %q; want %d, %v, %d", q, len(m.Items), m.More, m.Head, m.Code, len(want), more, head)
	}
	if len(m.Items) > 0 && (m.Oldest == 0 || m.Oldest > m.Items[0].Seq) {
		t.Fatalf("%+v: oldest is %d, first item %d", q, m.Oldest, m.Items[0].Seq)
	}
	for i, it := range m.Items {
		if it.Seq != want[i] || !sequencer.HasID(it.JSON, fmt.Sprint("id", want[i])) {
			t.Fatalf("%+v: item %d is %d %s, want %d", q, i, it.Seq, it.JSON, want[i])
		}
	}
}

// A message is found with few reads, for any length of the log and any position in it.
func TestHistoryReadsFew(t *testing.T) {
	t.Parallel()
	const n = 10_000
	w := newWorld()
	w.fill(n, func() int { return 1 }, func(int) uint64 { return 1_000 })
	for _, after := range []uint64{0, 1, 63, 1000, 1024, 5000, 9000, 9500, 9700} {
		r := w.newRoom(1)
		r.History(&wire.History{HasAfter: true, After: after, Limit: 200}, "page")
		reads := 0
		for ; len(w.Steps) > 0; reads++ {
			w.RunStep(0, logtest.Fine)
		}
		if m := w.messages("page"); len(m.Items) != 200 || m.Items[0].Seq != after+1 {
			t.Fatalf("after %d: %d items", after, len(m.Items))
		}
		// The last record, the first, one each 1 024 messages and one each 64 of the
		// last 1 024, and two batches.
		if most := 2 + int(n-after)/1024 + 16 + 2; reads > most {
			t.Errorf("after %d: %d reads, want %d at most", after, reads, most)
		}
	}
}

// A page is never larger than a NATS message. Messages that do not fit are on the next page.
func TestHistoryPageIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld()
	rec := &wire.Record{First: 1, Room: "general"}
	for i := range 64 {
		rec.Entries = append(rec.Entries, wire.Entry{User: "u", ClientID: fmt.Sprint(i), JSON: make([]byte, 12_000)})
	}
	w.Store(general, wire.Marshal(rec))
	r := w.newRoom(1)
	for name, c := range map[string]struct {
		q           wire.History
		first, last uint64
	}{
		"after":  {wire.History{HasAfter: true, Limit: 200}, 1, 43},
		"newest": {wire.History{Limit: 200}, 22, 64},
	} {
		r.History(&c.q, "page")
		w.RunAll()
		m := w.messages("page")
		if n := len(m.Items); !m.More || m.Items[0].Seq != c.first || m.Items[n-1].Seq != c.last {
			t.Errorf("%s: %d to %d, more %v", name, m.Items[0].Seq, m.Items[n-1].Seq, m.More)
		}
	}
}

// A new owner knows the client ids of the last 1 000 messages, and those of the
// last 10 minutes.
func TestWindowIsReadBack(t *testing.T) {
	t.Parallel()
	const n = 6000
	w := newWorld()
	nowMs := uint64(w.Now.UnixMilli())
	// One message each 300 ms, so that the last 2 000 are younger than 10 minutes.
	w.fill(n, func() int { return 3 }, func(seq int) uint64 { return nowMs - uint64(n-seq)*300 })
	for name, c := range map[string]struct {
		id        string
		duplicate bool
	}{
		"the last":                  {fmt.Sprint("m", n), true},
		"among the last 1000":       {fmt.Sprint("m", n-999), true},
		"within 10 minutes":         {fmt.Sprint("m", n-dedup.WindowMs/300+3), true},
		"long ago":                  {"m1", false},
		"one that was never stored": {"new", false},
	} {
		r := w.newRoom(1)
		records := len(w.Records[general])
		r.Send(&wire.Send{User: wire.User{ID: "u"}, ClientID: c.id, Type: "TEXT", Content: "x"}, name)
		w.RunAll()
		s := w.sent(name)
		if s.Code != "" || s.Duplicate != c.duplicate || len(w.Records[general]) > records == c.duplicate {
			t.Errorf("%s: %+v", name, s)
		}
		w.Records[general] = w.Records[general][:records]
	}
}

// Messages that one request has read need no read for the next: neither the newest ones nor those
// before them.
func TestHistoryIsReadOnce(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.fill(2000, func() int { return 1 }, func(int) uint64 { return 1_000 })
	reads := func(r *sequencer.Room, q wire.History) (n int) {
		r.History(&q, "page")
		for ; len(w.Steps) > 0; n++ {
			w.RunStep(0, logtest.Fine)
		}
		if m := w.messages("page"); len(m.Items) != int(q.Limit) {
			t.Errorf("%+v: %d messages", q, len(m.Items))
		}
		return n
	}
	for name, q := range map[string]wire.History{
		"newest": {Limit: 50}, "before": {Before: 1000, Limit: 200}, "after": {HasAfter: true, After: 500, Limit: 100},
		"over the edge of both": {HasAfter: true, After: 1850, Limit: 150},
	} {
		r := w.newRoom(1)
		if n := reads(r, q); n == 0 {
			t.Errorf("%s: nothing is read", name)
		}
		if n := reads(r, q); n != 0 {
			t.Errorf("%s, again: %d reads", name, n)
		}
	}
}

// The latest messages need no read of the log, also those that the ring no longer holds: clients
// that reconnect ask for them.
func TestHistoryOfLateReadsNothing(t *testing.T) {
	t.Parallel()
	const n = 1000
	w := newWorld()
	r := w.newRoom(1)
	for i := range n {
		r.Send(&wire.Send{Room: "general", User: wire.User{ID: "ann"}, ClientID: fmt.Sprint(i), Type: "TEXT", Content: "hello"}, "sent")
		for len(w.Steps) > 0 {
			w.RunStep(0, logtest.Fine)
		}
	}
	for after := uint64(63); after < n; after += 200 {
		r.History(&wire.History{HasAfter: true, After: after, Limit: 200}, "page")
		if after == 63 { // how far the log goes back is not known yet
			for len(w.Steps) > 0 {
				w.RunStep(0, logtest.Fine)
			}
		}
		if len(w.Steps) != 0 {
			t.Errorf("after %d: the log is read", after)
		}
		if m := w.messages("page"); len(m.Items) != int(min(200, n-after)) || m.Items[0].Seq != after+1 {
			t.Errorf("after %d: %d items", after, len(m.Items))
		}
	}
}
