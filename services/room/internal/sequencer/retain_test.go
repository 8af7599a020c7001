package sequencer_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer"
)

// Retention deletes the messages that it may, and keeps those that it must.
func TestRetain(t *testing.T) {
	t.Parallel()
	const hour = 3600 * 1000
	day := sequencer.Retention{MaxAge: 24 * time.Hour}
	for name, c := range map[string]struct {
		keep sequencer.Retention
		n    int
		ages func(seq int) uint64 // ms ago
		left int                  // messages
	}{
		"all young":                  {day, 3000, func(int) uint64 { return 0 }, 3000},
		"all old":                    {day, 3000, func(int) uint64 { return 50 * hour }, 1000},
		"half of it old":             {day, 3000, func(seq int) uint64 { return uint64(max(1500-seq, 0)) * hour }, 1525},
		"fewer than the window":      {day, 900, func(int) uint64 { return 50 * hour }, 900},
		"old, of several batches":    {day, 5000, func(int) uint64 { return 50 * hour }, 1000},
		"one young among old, first": {day, 3000, func(seq int) uint64 { return min(uint64(seq-1), 1) * 50 * hour }, 3000},
		"for ever":                   {sequencer.Retention{}, 3000, func(int) uint64 { return 50 * hour }, 3000},
		"too many":                   {sequencer.Retention{MaxMessages: 2000}, 5000, func(int) uint64 { return hour }, 2000},
		"not too many":               {sequencer.Retention{MaxMessages: 2000}, 1999, func(int) uint64 { return hour }, 1999},
		"less than the window":       {sequencer.Retention{MaxMessages: 10}, 5000, func(int) uint64 { return hour }, 1000},
		"all within 10 minutes":      {sequencer.Retention{MaxMessages: 1000}, 5000, func(int) uint64 { return hour / 7 }, 5000},
		"2500 within 10 minutes":     {sequencer.Retention{MaxMessages: 1000}, 5000, func(seq int) uint64 { return uint64(5000-seq) * 240 }, 2501},
		"old and all in 10 minutes":  {sequencer.Retention{MaxAge: time.Second}, 3000, func(int) uint64 { return hour / 7 }, 3000},
		"the age takes more":         {sequencer.Retention{MaxAge: 24 * time.Hour, MaxMessages: 4000}, 5000, func(int) uint64 { return 50 * hour }, 1000},
		"the number takes more":      {sequencer.Retention{MaxAge: 24 * time.Hour, MaxMessages: 2000}, 5000, func(int) uint64 { return hour }, 2000},
	} {
		w := newWorld()
		nowMs := uint64(w.Now.UnixMilli())
		w.fill(c.n, func() int { return 1 }, func(seq int) uint64 { return nowMs - c.ages(seq) })
		r := w.newRoom(1)
		r.WhenLoaded(func(error) {})
		w.RunAll()
		r.Retain(w.Now.Add(-time.Hour), c.keep) // the first look is put off, at most so long
		r.Retain(w.Now, c.keep)
		w.RunAll()
		if len(w.Records[general]) != c.left {
			t.Errorf("%s: %d left, want %d", name, len(w.Records[general]), c.left)
		}
	}
}

// A growing room is cut again when it exceeds its maximum by an eighth. Its numbers, its last
// message and its history stay right.
func TestRetainFollowsGrowth(t *testing.T) {
	t.Parallel()
	keep := sequencer.Retention{MaxMessages: 1000}
	w := newWorld()
	past := uint64(w.Now.Add(-time.Hour).UnixMilli())
	w.fill(3000, func() int { return 1 }, func(int) uint64 { return past })
	r := w.newRoom(1)
	r.WhenLoaded(func(error) {})
	w.RunAll()
	r.Retain(w.Now.Add(-time.Hour), keep)
	r.Retain(w.Now, keep)
	w.RunAll()
	send := func(n int) {
		for range n {
			r.Send(&wire.Send{User: wire.User{ID: "u"}, ClientID: fmt.Sprint("c", r.Head()), Type: "TEXT", Content: "x"}, "sent")
			w.RunAll()
		}
	}
	send(100)
	r.Retain(w.Now, keep)
	if n := len(w.Records[general]); n != 1100 || len(w.Steps) > 0 {
		t.Errorf("%d records after 100 more, %d steps", n, len(w.Steps))
	}
	send(100)
	w.Now = w.Now.Add(11 * time.Minute)
	r.Retain(w.Now, keep)
	w.RunAll()
	if n := len(w.Records[general]); n != 1000 || r.Head() != 3200 {
		t.Errorf("%d records after 200 more, head %d", n, r.Head())
	}
	r.History(&wire.History{Before: 2300, Limit: 200}, "page")
	w.RunAll()
	if m := w.messages("page"); m.More || len(m.Items) != 99 || m.Items[0].Seq != 2201 {
		t.Errorf("the last page: more %v, %d items", m.More, len(m.Items))
	}
}
