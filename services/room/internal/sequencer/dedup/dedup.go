// Package dedup remembers the client ids of a room's latest messages, so that a
// message that is sent again is told from a new one. It has no clock and does no
// I/O: the index is filled from the room's log, newest window first.
package dedup

import "crypto/sha256"

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

// ID stands for a Key in an eighth of its memory. It is in the log, so it is the
// same in every process and release.
type ID [16]byte

// ID is the first half of the key's SHA-256. Nobody finds a key with the ID of
// another user's; who looks for two of his own with the same one (2^64 attempts)
// loses a message of his own.
func (k Key) ID() ID {
	// A user id has 128 bytes at most and no zero, a client id 64.
	b := append(make([]byte, 0, 256), k.User...)
	b = append(append(b, 0), k.ClientID...)
	sum := sha256.Sum256(b)
	return ID(sum[:len(ID{})])
}

// Ref is what is remembered of a message.
type Ref struct {
	Seq   uint64
	Sum   uint64 // hash of type and content: tells a repeat from a conflict
	AtMs  uint64
	Epoch uint64 // epoch of the owner that stored it
}

// Index is the window of one room. The zero value is empty; not safe for
// concurrent use.
type Index struct {
	seqs  map[ID]uint64 // of the last message with this id
	order []entry       // of seq first, first+1, ...
	first uint64        // seq of order[0]
}

type entry struct {
	id               ID
	sum, atMs, epoch uint64
}

// Add remembers the next message of the room: r.Seq is one more than the last
// one's, or more than that after a hole (messages that the log has lost).
func (x *Index) Add(id ID, r Ref) {
	if end := x.first + uint64(len(x.order)); len(x.order) > 0 && r.Seq != end {
		if r.Seq < end || r.Seq-end >= MaxMessages {
			x.Clear()
		}
		for ; len(x.order) > 0 && end < r.Seq; end++ {
			x.append(entry{atMs: r.AtMs})
		}
	}
	if len(x.order) == 0 {
		x.first = r.Seq
	}
	if x.seqs == nil {
		x.seqs = make(map[ID]uint64)
	}
	x.seqs[id] = r.Seq
	x.append(entry{id, r.Sum, r.AtMs, r.Epoch})
}

func (x *Index) append(e entry) {
	if x.order = append(x.order, e); len(x.order) > MaxMessages {
		x.drop(1)
	}
}

// Find tells whether a message with this id was stored within the window.
func (x *Index) Find(id ID) (Ref, bool) {
	seq, ok := x.seqs[id]
	if !ok {
		return Ref{}, false
	}
	e := &x.order[seq-x.first]
	return Ref{Seq: seq, Sum: e.sum, AtMs: e.atMs, Epoch: e.epoch}, true
}

// Len is the number of messages remembered.
func (x *Index) Len() int { return len(x.order) }

// First is the seq of the first message remembered; of an empty index 0.
func (x *Index) First() uint64 {
	if len(x.order) == 0 {
		return 0
	}
	return x.first
}

// Trim forgets what has left the window at nowMs. It costs nothing when nothing has.
func (x *Index) Trim(nowMs uint64) {
	n := 0
	for len(x.order)-n > MinMessages && x.order[n].atMs+WindowMs < nowMs {
		n++
	}
	if n > 0 {
		x.drop(n)
	}
}

// Clear forgets everything.
func (x *Index) Clear() { *x = Index{} }

func (x *Index) drop(n int) {
	for i := range x.order[:n] {
		// An id that was stored again later stays.
		if id := x.order[i].id; x.seqs[id] == x.first+uint64(i) {
			delete(x.seqs, id)
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
