// Package history finds and reads messages of a room by seq, in a log that knows only
// positions. Its functions wait for every read of their [Log]. Package sequencer runs them as
// tasks, so the shard does other work meanwhile.
package history

import "github.com/confab-chat/confab/proto/wire"

// MaxLimit is the maximum number of messages in one page.
const MaxLimit = 200

// Span is the seqs From to To inclusive; empty when From > To.
type Span struct{ From, To uint64 }

// Empty reports whether s has no seq.
func (s Span) Empty() bool { return s.From > s.To }

// Plan returns the messages that q asks for, when the room's last message is head and
// the oldest one retained is oldest.
func Plan(q *wire.History, head, oldest uint64) Span {
	limit := min(max(q.Limit, 1), MaxLimit)
	switch {
	case head == 0:
		return Span{1, 0}
	case q.HasAfter:
		if q.After >= head {
			return Span{1, 0}
		}
		from := max(q.After+1, oldest)
		return Span{from, min(head, from+limit-1)}
	}
	to := head
	if q.Before > 0 {
		to = min(head, q.Before-1)
	}
	if to < oldest || to == 0 {
		return Span{1, 0}
	}
	return Span{max(oldest, to-min(limit, to)+1), to}
}

// More reports whether there are more messages than items in the direction of q.
func More(q *wire.History, items []wire.Item, head, oldest uint64) bool {
	if len(items) == 0 {
		return false
	}
	if q.HasAfter {
		return items[len(items)-1].Seq < head
	}
	return items[0].Seq > oldest
}

// Fit returns as many of items as have at most maxBytes of JSON, at least one. It drops
// those that are farthest from where q starts.
func Fit(q *wire.History, items []wire.Item, maxBytes int) []wire.Item {
	total := 0
	for i := range items {
		k := i
		if !q.HasAfter {
			k = len(items) - 1 - i // newest first
		}
		if total += len(items[k].JSON); total > maxBytes && i > 0 {
			if q.HasAfter {
				return items[:k]
			}
			return items[k+1:]
		}
	}
	return items
}
