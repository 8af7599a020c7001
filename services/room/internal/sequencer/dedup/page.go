package dedup

import (
	"encoding/binary"
	"slices"
)

// A page is the part of an index about consecutive messages, as the log stores it
// (wire.Record.Known): for each message its ID, and Sum, AtMs and Epoch in little endian.
// Reading it costs a fiftieth of reading the messages themselves.

// entrySize is the size of one message in a page, in bytes.
const entrySize = len(ID{}) + 3*8

// AppendPage appends the page of the messages from seq from to the last one. The index
// must have them.
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

// AddPage adds the messages of a page, the first of which is seq.
func (x *Index) AddPage(seq uint64, page []byte) {
	for ; len(page) >= entrySize; page = page[entrySize:] {
		e := parse(page)
		x.Add(e.id, Ref{Seq: seq, Sum: e.sum, AtMs: e.atMs, Epoch: e.epoch})
		seq++
	}
}

// PageLen returns the number of messages of a page, and when the first one was stored; 0
// for malformed pages.
func PageLen(page []byte) (n, atMs uint64) {
	if len(page) == 0 || len(page)%entrySize != 0 {
		return 0, 0
	}
	return uint64(len(page) / entrySize), parse(page).atMs
}

// parse reads the first entry of b, which must have one.
func parse(b []byte) (e entry) {
	b = b[copy(e.id[:], b):]
	e.sum = binary.LittleEndian.Uint64(b)
	e.atMs = binary.LittleEndian.Uint64(b[8:])
	e.epoch = binary.LittleEndian.Uint64(b[16:])
	return e
}
