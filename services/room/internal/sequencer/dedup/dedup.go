// Package dedup remembers the client ids of a room's latest messages, so that a repeated
// message is recognised. It has no clock and does no I/O; package sequencer fills the index
// from the room's log.
package dedup

import "crypto/sha256"

// The window: a message stays in it while it is younger than WindowMs or among the last
// MinMessages of its room. MaxMessages bounds the memory of a room to about 20 MB; only a
// room with more than 333 messages a second over ten minutes reaches it.
const (
	WindowMs    = 10 * 60 * 1000
	MinMessages = 1000
	MaxMessages = 200_000
)

// Key identifies a message of a room: two messages with the same key are the same message.
type Key struct{ User, ClientID string }

// ID represents a Key in an eighth of its memory. It is stored in the log, so it must stay
// the same in every release.
type ID [16]byte

// ID returns the first half of the key's SHA-256. Finding a key with the ID of another user's
// key is infeasible; a user who finds two keys of their own with the same ID (2^64 attempts)
// loses a message of their own.
func (k Key) ID() ID {
	// A user id has 128 bytes at most and no zero, a client id 64.
	b := append(make([]byte, 0, 256), k.User...)
	b = append(append(b, 0), k.ClientID...)
	sum := sha256.Sum256(b)
	return ID(sum[:len(ID{})])
}

// Ref is what the index keeps of a message.
type Ref struct {
	Seq   uint64
	Sum   uint64 // hash of type and content: a repeat has the same, a conflict another one
	AtMs  uint64
	Epoch uint64 // epoch of the owner that stored it
}

// Index is the de-duplication window of one room. The zero value is empty; it must not be
// used concurrently.
type Index struct {
	seqs  map[ID]uint64 // of the last message with this id
	order []entry       // of seq first, first+1, ...
	first uint64        // seq of order[0]
}

type entry struct {
	id               ID
	sum, atMs, epoch uint64
}

// Add adds the next message of the room: r.Seq must be one more than the last one's, or more
// than that after a hole (messages that the log has lost).
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

// Find returns the message with this id, if one is in the window.
func (x *Index) Find(id ID) (Ref, bool) {
	seq, ok := x.seqs[id]
	if !ok {
		return Ref{}, false
	}
	e := &x.order[seq-x.first]
	return Ref{Seq: seq, Sum: e.sum, AtMs: e.atMs, Epoch: e.epoch}, true
}

// Len returns the number of messages in the index.
func (x *Index) Len() int { return len(x.order) }

// First returns the seq of the oldest message in the index; 0 when it is empty.
func (x *Index) First() uint64 {
	if len(x.order) == 0 {
		return 0
	}
	return x.first
}

// Trim removes the messages that have left the window at nowMs, Unix milliseconds. It is
// cheap when there are none.
func (x *Index) Trim(nowMs uint64) {
	n := 0
	for len(x.order)-n > MinMessages && x.order[n].atMs+WindowMs < nowMs {
		n++
	}
	if n > 0 {
		x.drop(n)
	}
}

// Clear removes all messages.
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

// Complete reports whether the last n messages of a room, the first of them stored at atMs,
// are a whole window at nowMs.
func Complete(n int, atMs, nowMs uint64) bool {
	return n >= MaxMessages || n >= MinMessages && atMs+WindowMs < nowMs
}
