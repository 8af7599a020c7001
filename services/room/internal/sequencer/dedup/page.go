package dedup

import (
	"encoding/binary"
	"slices"
)

// A page is what an index remembers of consecutive messages, as it stands in the
// log (wire.Record.Known): for each of them its ID, and Sum, AtMs and By in little
// endian. Reading it costs a fiftieth of reading the messages themselves.

// entrySize is what one message takes in a page, in bytes.
const entrySize = len(ID{}) + 3*8

// AppendPage appends the page of the messages from seq from to the last one. The
// index must remember them.
func (x *Index) AppendPage(dst []byte, from uint64) []byte {
	of := x.order[from-x.first:]
	dst = slices.Grow(dst, len(of)*entrySize)
	for _, e := range of {
		dst = append(dst, e.id[:]...)
		dst = binary.LittleEndian.AppendUint64(dst, e.sum)
		dst = binary.LittleEndian.AppendUint64(dst, e.atMs)
		dst = binary.LittleEndian.AppendUint64(dst, e.epoch)
	}
	return dst
}

// AddPage remembers the messages of a page, of which the first is seq, as Add does.
func (x *Index) AddPage(seq uint64, page []byte) {
	for ; len(page) >= entrySize; page = page[entrySize:] {
		e := parse(page)
		x.Add(e.id, Ref{Seq: seq, Sum: e.sum, AtMs: e.atMs, Epoch: e.epoch})
		seq++
	}
}

// PageLen is the number of messages of a page, and when its first one was stored;
// 0 for bytes that are no page.
func PageLen(page []byte) (n, atMs uint64) {
	if len(page) == 0 || len(page)%entrySize != 0 {
		return 0, 0
	}
	return uint64(len(page) / entrySize), parse(page).atMs
}

// parse reads the first entry of b, which has one.
func parse(b []byte) (e entry) {
	b = b[copy(e.id[:], b):]
	e.sum = binary.LittleEndian.Uint64(b)
	e.atMs = binary.LittleEndian.Uint64(b[8:])
	e.epoch = binary.LittleEndian.Uint64(b[16:])
	return e
}
