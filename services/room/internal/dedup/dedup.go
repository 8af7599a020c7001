// Package dedup remembers the client ids of a room's latest messages, so that a
// message that is sent again is told from a new one. It has no clock and does no
// I/O: the index is filled from the room's log, newest window first.
package dedup

import "hash/maphash"

// The window: a message is remembered while it is younger than WindowMs or among
// the last MinMessages of its room, whichever is more. MaxMessages is a bound for
// memory, about 20 MB, that only a room with more than 333 messages a second over
// ten minutes reaches: it remembers so many.
const (
	WindowMs    = 10 * 60 * 1000
	MinMessages = 1000
	MaxMessages = 200_000
)

// Key is what makes a message one message: the same id from the same user in the same room.
type Key struct{ User, ClientID string }

// Ref is what is remembered of a message.
type Ref struct {
	Seq  uint64
	Sum  uint64 // hash of type and content: tells a repeat from a conflict
	AtMs uint64
	By   uint64 // epoch of the owner that stored it
}

// name stands for a Key in an eighth of its memory. Two keys with the same 128 bits
// are not to be expected, nor can they be made: the seeds are of this process.
type name [2]uint64

var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func (k Key) name() name {
	return name{maphash.Comparable(seeds[0], k), maphash.Comparable(seeds[1], k)}
}

// Index is the window of one room. The zero value is empty; not safe for
// concurrent use.
type Index struct {
	refs  map[name]Ref
	order []name // of seq first, first+1, ...
	first uint64 // seq of order[0]
}

// Add remembers the next message of the room: r.Seq is one more than the last
// one's. After a hole (messages that the log has lost) the index starts anew.
func (x *Index) Add(k Key, r Ref) {
	if len(x.order) > 0 && r.Seq != x.first+uint64(len(x.order)) {
		x.Clear()
	}
	if len(x.order) == 0 {
		x.first = r.Seq
	}
	if x.refs == nil {
		x.refs = make(map[name]Ref)
	}
	n := k.name()
	x.refs[n] = r
	x.order = append(x.order, n)
	if len(x.order) > MaxMessages {
		x.drop(1)
	}
}

// Find tells whether a message with this key was stored within the window.
func (x *Index) Find(k Key) (Ref, bool) {
	r, ok := x.refs[k.name()]
	return r, ok
}

// Len is the number of messages remembered.
func (x *Index) Len() int { return len(x.order) }

// Trim forgets what has left the window at nowMs. It costs nothing when nothing has.
func (x *Index) Trim(nowMs uint64) {
	n := 0
	for len(x.order)-n > MinMessages && x.old(x.first+uint64(n), x.order[n], nowMs) {
		n++
	}
	if n > 0 {
		x.drop(n)
	}
}

// Clear forgets everything.
func (x *Index) Clear() { *x = Index{} }

// old tells whether the message seq with the given name is out of the window's age.
// A key that was stored again later is as good as gone.
func (x *Index) old(seq uint64, n name, nowMs uint64) bool {
	r := x.refs[n]
	return r.Seq != seq || r.AtMs+WindowMs < nowMs
}

func (x *Index) drop(n int) {
	for i, k := range x.order[:n] {
		if x.refs[k].Seq == x.first+uint64(i) {
			delete(x.refs, k)
		}
	}
	x.order = x.order[n:]
	x.first += uint64(n)
}

// Complete tells whether a window that reaches from a message of atMs to the
// room's last one, n messages in all, needs nothing before it.
func Complete(n int, atMs, nowMs uint64) bool {
	return n >= MaxMessages || n >= MinMessages && atMs+WindowMs < nowMs
}
