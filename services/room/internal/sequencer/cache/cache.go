// Package cache keeps a room's latest messages in memory, so that most history requests,
// gap repairs and repeated commands need no read of the log.
package cache

import "github.com/confab-chat/confab/proto/wire"

// Bounds of one ring: enough for an edge that was away for a moment.
const (
	MaxItems = 256
	MaxBytes = 128 << 10
)

// Ring holds the latest messages of one room, with consecutive seqs. The zero value is
// empty; it must not be used concurrently.
type Ring struct {
	items []wire.Item
	bytes int
}

// Add appends the room's next message and keeps item.JSON. After a hole the ring starts
// again with item.
func (r *Ring) Add(item wire.Item) {
	if n := len(r.items); n > 0 && item.Seq != r.items[n-1].Seq+1 {
		r.Clear()
	}
	r.items = append(r.items, item)
	r.bytes += len(item.JSON)
	for len(r.items) > MaxItems || r.bytes > MaxBytes && len(r.items) > 1 {
		r.bytes -= len(r.items[0].JSON)
		r.items[0] = wire.Item{} // append may keep the array, so drop the reference
		r.items = r.items[1:]
	}
}

// First returns the seq of the oldest message in the ring; 0 when it is empty.
func (r *Ring) First() uint64 {
	if len(r.items) == 0 {
		return 0
	}
	return r.items[0].Seq
}

// Has reports whether the ring contains message seq.
func (r *Ring) Has(seq uint64) bool {
	return len(r.items) > 0 && seq >= r.items[0].Seq && seq <= r.items[len(r.items)-1].Seq
}

// Slice returns the messages from to to, inclusive. The ring must have all of them. The
// result is valid until the next Add.
func (r *Ring) Slice(from, to uint64) []wire.Item {
	first := r.items[0].Seq
	return r.items[from-first : to-first+1]
}

// Bytes returns the size of the messages in the ring.
func (r *Ring) Bytes() int { return r.bytes }

// Clear removes all messages.
func (r *Ring) Clear() { *r = Ring{} }
