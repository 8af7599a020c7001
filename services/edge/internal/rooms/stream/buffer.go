package stream

import (
	"slices"

	"github.com/confab-chat/confab/proto/wire"
)

// itemBytes is a wire.Item without its JSON, on 64 bits.
const itemBytes = 32

// buffer holds records that wait behind a hole, sorted by first seq, at most one per
// first seq. They may overlap.
type buffer struct {
	records [][]wire.Item
	bytes   int
}

// first returns the lowest seq in the buffer; false if it is empty.
func (b *buffer) first() (uint64, bool) {
	if len(b.records) == 0 {
		return 0, false
	}
	return b.records[0][0].Seq, true
}

// add stores a copy of items. Beyond MaxRecords or MaxBytes it drops the latest records.
func (b *buffer) add(items []wire.Item) {
	i, same := slices.BinarySearchFunc(b.records, items[0].Seq, func(r []wire.Item, seq uint64) int {
		return int(int64(r[0].Seq - seq))
	})
	if same {
		if len(b.records[i]) >= len(items) {
			return
		}
		b.bytes -= size(b.records[i])
		b.records[i] = slices.Clone(items)
	} else {
		b.records = slices.Insert(b.records, i, slices.Clone(items))
	}
	b.bytes += size(items)
	for len(b.records) > MaxRecords || b.bytes > MaxBytes {
		last := len(b.records) - 1
		b.bytes -= size(b.records[last])
		b.records = slices.Delete(b.records, last, last+1)
	}
}

// pop removes and returns the first record if it starts at next or before, else nil.
func (b *buffer) pop(next uint64) []wire.Item {
	if first, ok := b.first(); !ok || first > next {
		return nil
	}
	items := b.records[0]
	b.bytes -= size(items)
	if b.records = slices.Delete(b.records, 0, 1); len(b.records) == 0 {
		b.records = nil // free the memory: holes are rare
	}
	return items
}

// size returns what items count towards MaxBytes: their JSON and their headers.
func size(items []wire.Item) int {
	n := len(items) * itemBytes
	for _, it := range items {
		n += len(it.JSON)
	}
	return n
}
