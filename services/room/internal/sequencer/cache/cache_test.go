package cache_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/cache"
)

// The ring holds the latest messages, as many as its bounds allow, without a hole.
func TestRing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var r cache.Ring
		var all []wire.Item
		seq := uint64(rapid.IntRange(0, 100).Draw(t, "start"))
		size := rapid.SampledFrom([]int{1, 300, 12_000, cache.MaxBytes + 1}).Draw(t, "size")
		for range rapid.IntRange(0, 600).Draw(t, "n") {
			seq++
			if rapid.IntRange(0, 199).Draw(t, "hole") == 0 {
				seq++
				all = nil
			}
			it := wire.Item{Seq: seq, JSON: make([]byte, size)}
			all = append(all, it)
			r.Add(it)
		}
		kept := min(len(all), cache.MaxItems, max(cache.MaxBytes/size, 1))
		want := all[len(all)-kept:]
		if kept == 0 {
			if r.First() != 0 || r.Has(0) {
				t.Fatalf("empty, but first is %d", r.First())
			}
			return
		}
		if r.First() != want[0].Seq || r.Has(r.First()-1) || !r.Has(seq) || r.Has(seq+1) || r.Bytes() != kept*size {
			t.Fatalf("from %d, %d bytes; want from %d, %d messages", r.First(), r.Bytes(), want[0].Seq, kept)
		}
		got := r.Slice(r.First(), seq)
		for i := range want {
			if got[i].Seq != want[i].Seq {
				t.Fatalf("message %d is %d, want %d", i, got[i].Seq, want[i].Seq)
			}
		}
	})
}
