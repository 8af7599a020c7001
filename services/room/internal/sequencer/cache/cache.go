// Package cache keeps a room's latest messages in memory, so that most history
// requests, repairs and repeats need no read of the log.
package cache

import "github.com/confab-chat/confab/proto/wire"

// Bounds of one ring: what an edge that was away for a moment has missed, and no
// more memory than a busy room is worth.
const (
	MaxItems = 256
	MaxBytes = 128 << 10
)

// Ring is the tail of one room: consecutive messages up to the latest. The zero
// value is empty; not safe for concurrent use.
type Ring struct {
	items []wire.Item
	bytes int
}

// Add appends the room's next message; it keeps item.JSON. After a hole the ring
// starts anew.
func (r *Ring) Add(item wire.Item) {
	if n := len(r.items); n > 0 && item.Seq != r.items[n-1].Seq+1 {
		r.Clear()
	}
	r.items = append(r.items, item)
	r.bytes += len(item.JSON)
	for len(r.items) > MaxItems || r.bytes > MaxBytes && len(r.items) > 1 {
		r.bytes -= len(r.items[0].JSON)
		r.items[0] = wire.Item{} // the array lives on until append moves the rest
		r.items = r.items[1:]
	}
}

// First is the seq of the oldest message kept, 0 when the ring is empty.
func (r *Ring) First() uint64 {
	if len(r.items) == 0 {
		return 0
	}
	return r.items[0].Seq
}

// Has tells whether the ring reaches back to seq, or further.
func (r *Ring) Has(seq uint64) bool {
	return len(r.items) > 0 && seq >= r.items[0].Seq && seq <= r.items[len(r.items)-1].Seq
}

// Slice is the messages from to to, inclusive, all of which the ring Has. It is
// valid until the next Add.
func (r *Ring) Slice(from, to uint64) []wire.Item {
	first := r.items[0].Seq
	return r.items[from-first : to-first+1]
}

// Bytes is the size of the messages kept.
func (r *Ring) Bytes() int { return r.bytes }

// Clear forgets everything.
func (r *Ring) Clear() { *r = Ring{} }
