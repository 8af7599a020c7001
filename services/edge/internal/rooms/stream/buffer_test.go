package stream

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/proto/wire"
)

// TestBufferCounts: whatever is added and popped, the buffer stays sorted, the
// longest of the records with one first seq is kept, and its bytes are what it holds.
func TestBufferCounts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var b buffer
		longest := map[uint64]int{}
		scratch := make([]wire.Item, 8)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				bytes := 0
				for _, r := range b.records {
					bytes += size(r)
					if len(r) != longest[r[0].Seq] || r[len(r)-1].Seq != r[0].Seq+uint64(len(r))-1 {
						t.Fatalf("record %v, want %d items", r, longest[r[0].Seq])
					}
				}
				if b.bytes != bytes || len(b.records) != len(longest) {
					t.Fatalf("%d records, %d bytes; want %d, %d", len(b.records), b.bytes, len(longest), bytes)
				}
				if !slices.IsSortedFunc(b.records, func(x, y []wire.Item) int { return int(x[0].Seq) - int(y[0].Seq) }) {
					t.Fatal("not sorted")
				}
			},
			"add": func(t *rapid.T) {
				first := rapid.Uint64Range(1, 20).Draw(t, "first")
				items := scratch[:rapid.IntRange(1, 8).Draw(t, "n")]
				for i := range items {
					items[i] = wire.Item{Seq: first + uint64(i), JSON: make([]byte, first)}
				}
				b.add(items)
				longest[first] = max(longest[first], len(items))
			},
			"pop": func(t *rapid.T) {
				next := rapid.Uint64Range(0, 20).Draw(t, "next")
				first, some := b.first()
				items := b.pop(next)
				if (items != nil) != (some && first <= next) {
					t.Fatalf("pop(%d) = %v of a buffer that begins at %d", next, items, first)
				}
				if items != nil {
					delete(longest, first)
				}
			},
		})
	})
}
