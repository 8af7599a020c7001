// Package history finds and reads messages of a room by seq, in a log that knows
// only positions. It blocks nowhere: every step is a callback.
package history

import "github.com/confab-chat/confab/proto/wire"

// MaxLimit is the most messages one page holds (protocol.md 9 G).
const MaxLimit = 200

// Span is a run of seqs, From to To inclusive; empty when From > To.
type Span struct{ From, To uint64 }

// Empty tells that there is nothing in s.
func (s Span) Empty() bool { return s.From > s.To }

// Plan says which messages answer q when the room's last message is head and the
// first one retained is oldest.
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

// More tells whether there is more in the direction that q asks for, when items
// answer it.
func More(q *wire.History, items []wire.Item, head, oldest uint64) bool {
	if len(items) == 0 {
		return false
	}
	if q.HasAfter {
		return items[len(items)-1].Seq < head
	}
	return items[0].Seq > oldest
}

// Fit drops messages until they are at most maxBytes of JSON, at the end that is
// farther from what q asks for; one message always stays.
func Fit(q *wire.History, items []wire.Item, maxBytes int) []wire.Item {
	total := 0
	for i := range items {
		k := i
		if !q.HasAfter {
			k = len(items) - 1 - i // newest first: these are asked for
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
