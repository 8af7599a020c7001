// Package dedup remembers the client ids of a room's latest messages, so that a
// message that is sent again is told from a new one. It has no clock and does no
// I/O: the index is filled from the room's log, newest window first.
package dedup

// The window: a message is remembered while it is younger than WindowMs or among
// the last MinMessages of its room, whichever is more, and at most MaxMessages
// are (a bound for memory: about 3 MB for the busiest room).
const (
	WindowMs    = 10 * 60 * 1000
	MinMessages = 1000
	MaxMessages = 20_000
)

// Key is what makes a message one message: the same id from the same user in the same room.
type Key struct{ User, ClientID string }

// Ref is what is remembered of a message.
type Ref struct {
	Seq  uint64
	Sum  uint64 // hash of type and content: tells a repeat from a conflict
	AtMs uint64
}

// Index is the window of one room. The zero value is empty; not safe for
// concurrent use.
type Index struct {
	refs  map[Key]Ref
	order []Key  // of seq first, first+1, ...
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
		x.refs = make(map[Key]Ref)
	}
	x.refs[k] = r
	x.order = append(x.order, k)
	if len(x.order) > MaxMessages {
		x.drop(1)
	}
}

// Find tells whether a message with this key was stored within the window.
func (x *Index) Find(k Key) (Ref, bool) {
	r, ok := x.refs[k]
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

// old tells whether the message seq with key k is out of the window's age. A key
// that was stored again later is as good as gone.
func (x *Index) old(seq uint64, k Key, nowMs uint64) bool {
	r := x.refs[k]
	return r.Seq != seq || r.AtMs+WindowMs < nowMs
}

func (x *Index) drop(n int) {
	for i, k := range x.order[:n] {
		if x.refs[k].Seq == x.first+uint64(i) {
			delete(x.refs, k)
		}
		x.order[i] = Key{} // the array lives on until append moves the rest
	}
	x.order = x.order[n:]
	x.first += uint64(n)
}

// Complete tells whether a window that reaches from a message of atMs to the
// room's last one, n messages in all, needs nothing before it.
func Complete(n int, atMs, nowMs uint64) bool {
	return n >= MaxMessages || n >= MinMessages && atMs+WindowMs < nowMs
}
