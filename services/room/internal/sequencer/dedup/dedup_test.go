package dedup_test

import (
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/services/room/internal/sequencer/dedup"
)

func key(i int) dedup.ID { return dedup.Key{User: "u", ClientID: strconv.Itoa(i)}.ID() }

// The window holds the last 1 000 messages and those of the last 10 minutes, and
// never more than its bound.
func TestWindow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		n      int
		stepMs uint64 // between two messages
		want   int
	}{
		"few and old":     {500, 60_000, 500},
		"many and old":    {3000, 60_000, 1000},
		"many and young":  {5000, 100, 5000},
		"half of it old":  {5000, 200, 3001},
		"more than bound": {250_000, 1, dedup.MaxMessages},
	} {
		var x dedup.Index
		at := uint64(0)
		for i := range c.n {
			at += c.stepMs
			x.Add(key(i), dedup.Ref{Seq: uint64(i + 1), AtMs: at})
		}
		x.Trim(at)
		if x.Len() != c.want {
			t.Errorf("%s: %d are remembered, want %d", name, x.Len(), c.want)
		}
		for i := range c.n {
			if _, ok := x.Find(key(i)); ok != (i >= c.n-c.want) {
				t.Fatalf("%s: message %d of %d: found %v", name, i, c.n, ok)
			}
		}
	}
}

// The index finds the same ids as a list of the window's messages, also if an id is stored again
// after it has left the window.
func TestIndexIsTheWindow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var x dedup.Index
		last := map[dedup.ID]uint64{}
		at, seq := uint64(1), uint64(0)
		for range rapid.IntRange(0, 1500).Draw(t, "n") {
			at += uint64(rapid.SampledFrom([]int{0, 1, 1000, 60_000}).Draw(t, "step"))
			k := key(rapid.IntRange(0, 1200).Draw(t, "key"))
			if _, ok := x.Find(k); ok {
				continue // the room answers it as a repeat
			}
			seq++
			x.Add(k, dedup.Ref{Seq: seq, AtMs: at})
			last[k] = seq
			x.Trim(at)
		}
		for k, s := range last {
			r, ok := x.Find(k)
			if ok && r.Seq != s {
				t.Fatalf("%v is known as %d, stored last as %d", k, r.Seq, s)
			}
			if inside := s+uint64(x.Len()) > seq; ok != inside {
				t.Fatalf("%v, %d of %d: found %v, %d remembered", k, s, seq, ok, x.Len())
			}
		}
	})
}

// Messages that the log has lost are not known; those before them are.
func TestHole(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		seq    uint64 // of the message behind the one with seq 1
		len    int
		before bool // the one before is known
	}{
		{2, 2, true},
		{5, 5, true},
		{dedup.MaxMessages, dedup.MaxMessages, true},
		{dedup.MaxMessages + 1, dedup.MaxMessages, false},
		{1 << 60, 1, false},
		{1, 1, false}, // it cannot be: better to know nothing than something wrong
	} {
		var x dedup.Index
		x.Add(key(1), dedup.Ref{Seq: 1})
		x.Add(key(2), dedup.Ref{Seq: c.seq, Sum: 7})
		if r, ok := x.Find(key(2)); !ok || r.Seq != c.seq || r.Sum != 7 {
			t.Errorf("seq %d: found as %+v, %v", c.seq, r, ok)
		}
		if _, ok := x.Find(key(1)); ok != c.before || x.Len() != c.len {
			t.Errorf("seq %d: %d remembered, the one before the hole: %v", c.seq, x.Len(), ok)
		}
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	const now = 100 * dedup.WindowMs
	for name, c := range map[string]struct {
		n    int
		atMs uint64
		want bool
	}{
		"few":              {999, 0, false},
		"enough and old":   {1000, 0, true},
		"enough but young": {1000, now, false},
		"at the bound":     {dedup.MaxMessages, now, true},
	} {
		if got := dedup.Complete(c.n, c.atMs, now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func BenchmarkAddTrim(b *testing.B) {
	var x dedup.Index
	keys := make([]dedup.ID, 4096)
	for i := range keys {
		keys[i] = key(i)
	}
	seq := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		x.Add(keys[seq%4096], dedup.Ref{Seq: seq, AtMs: seq * 1000})
		x.Trim(seq * 1000)
	}
}

func BenchmarkID(b *testing.B) {
	k := dedup.Key{User: "0b7c1c9e-5b0a-4a52-9c1d", ClientID: "c7a9e5d0-1111-2222-3333-444455556666"}
	b.ReportAllocs()
	for b.Loop() {
		k.ID()
	}
}
