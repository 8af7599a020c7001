package sequencer

import (
	"errors"
	"strconv"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/cache"
	"github.com/confab-chat/confab/services/room/internal/sequencer/history"
)

const (
	// maxPageBytes bounds the messages of one History reply; NATS allows 1 MB.
	maxPageBytes = 512 << 10

	// oldestFresh is how long the oldest retained message is assumed to be the same:
	// retention moves it slowly, and it only decides hasMore at the very end.
	oldestFresh = 10 * time.Second
)

// ErrUnknown is returned for a message that does not exist or is no longer retained.
var ErrUnknown = errors.New("no such message")

// History replies to q, from memory when it can. Reply: wire.Messages.
func (r *Room) History(q *wire.History, reply string) {
	r.Page(q, maxPageBytes, func(m *wire.Messages) { r.env.Publisher.Publish(reply, m) })
}

// Page passes the answer to q to done, which runs once: at most maxBytes of messages,
// and one in any case.
func (r *Room) Page(q *wire.History, maxBytes int, done func(*wire.Messages)) {
	r.WhenLoaded(func(err error) {
		if err != nil {
			done(&wire.Messages{Fault: wire.FaultOf(err)})
			return
		}
		if r.head.stored == 0 {
			done(page(q, nil, maxBytes, r.head.seq, 0))
			return
		}
		if oldest, ok := r.oldestFor(q); ok {
			span := history.Plan(q, r.head.seq, oldest)
			if items, ok := r.cached(span); ok {
				done(page(q, items, maxBytes, r.head.seq, oldest))
				return
			}
		}
		if !r.env.reads.startTask(r.env, r.logRoom, func(t *task) { done(r.readPage(t, q, maxBytes)) }) {
			done(r.unreadable(errOverloaded()))
		}
	})
}

// readPage returns the answer to q from the log.
func (r *Room) readPage(t *task, q *wire.History, maxBytes int) *wire.Messages {
	oldest, ok := r.oldestFor(q)
	if !ok {
		var err error
		if oldest, err = r.readOldest(t); err != nil {
			return r.unreadable(err)
		}
	}
	head := r.head.seq
	items, err := r.readSpan(t, history.Plan(q, head, oldest))
	if err != nil {
		return r.unreadable(err)
	}
	return page(q, items, maxBytes, head, oldest)
}

// oldestFor returns the seq of the oldest message retained, 0 when it is unknown; false
// when q needs it and it has to be read.
func (r *Room) oldestFor(q *wire.History) (seq uint64, ok bool) {
	switch {
	case r.head.seq == 0, q.HasAfter && (q.After >= r.head.seq || r.ring.Has(q.After+1)):
		return r.oldest, true // q looks at the other end only
	}
	return r.oldest, r.oldest > 0 && r.env.Now().Sub(r.oldestAt) < oldestFresh
}

// readOldest reads the seq of the oldest message that the log has.
func (r *Room) readOldest(t *task) (uint64, error) {
	now := r.env.Now()
	s, err := t.First()
	for ; err == nil; s, err = t.Next(s.Pos + 1) {
		var rec wire.Record
		if history.Decode(s.Data, &rec) {
			r.oldest, r.oldestAt = rec.First, now
			return rec.First, nil
		}
		t.Malformed(s.Pos)
	}
	return 0, err
}

// cached returns the messages of span if all of them are in memory.
func (r *Room) cached(span history.Span) ([]wire.Item, bool) {
	if span.Empty() {
		return nil, true
	}
	if r.ring.Has(span.From) {
		return r.ring.Slice(span.From, span.To), true
	}
	to := span.To
	if first := r.ring.First(); first > 0 {
		to = min(to, first-1)
	}
	items, ok := r.env.chunks.Get(r.id, span.From, to)
	if ok && to < span.To {
		items = append(items, r.ring.Slice(to+1, span.To)...)
	}
	return items, ok
}

// readSpan returns the messages of span, from the log unless another task has read them
// meanwhile. It reads whole chunks, which stay in memory for later requests.
func (r *Room) readSpan(t *task, span history.Span) ([]wire.Item, error) {
	if items, ok := r.cached(span); ok {
		return items, nil
	}
	r.env.chunksUsedAt = r.env.Now()
	from, to := cache.ChunkBounds(span.From, span.To)
	chunks := history.Span{From: from, To: min(to, r.head.stored)}
	if chunks.Empty() {
		return nil, nil // the log has lost them
	}
	items, err := history.Read(t, r.head.seq, r.head.marks, chunks)
	if err == nil {
		r.env.chunks.Add(r.id, items)
		r.fillRing(items)
	}
	return within(items, span), err
}

// within returns the items that are in span.
func within(items []wire.Item, span history.Span) []wire.Item {
	for len(items) > 0 && items[0].Seq < span.From {
		items = items[1:]
	}
	for len(items) > 0 && items[len(items)-1].Seq > span.To {
		items = items[:len(items)-1]
	}
	return items
}

// fillRing keeps items in the ring if they are the room's newest messages and more than
// the ring has.
func (r *Room) fillRing(items []wire.Item) {
	n := len(items)
	if n == 0 || items[n-1].Seq != r.head.seq || r.ring.First() > 0 && r.ring.First() <= items[0].Seq {
		return
	}
	r.ring.Clear() // it holds the last record of a cold room, from when its head was loaded
	for _, it := range items {
		r.ring.Add(it)
	}
	r.lastUsedAt = r.env.Now()
}

// page returns the answer to q with as many of items as fit.
func page(q *wire.History, items []wire.Item, maxBytes int, head, oldest uint64) *wire.Messages {
	items = history.Fit(q, items, min(maxBytes, maxPageBytes))
	if len(items) > 0 && (oldest == 0 || items[0].Seq < oldest) {
		oldest = items[0].Seq
	}
	return &wire.Messages{Items: items, More: history.More(q, items, head, oldest), Head: head, Oldest: oldest}
}

// unreadable is the answer when the log could not be read because of err.
func (r *Room) unreadable(err error) *wire.Messages {
	r.env.Counters.CountRetry(err)
	return &wire.Messages{Fault: wire.FaultOf(errLogUnavailable())}
}

// Message passes message seq to done, before it returns when the message is in memory.
// The error is ErrUnknown when the message does not exist or is no longer retained.
func (r *Room) Message(seq uint64, done func(wire.Item, error)) {
	r.WhenLoaded(func(err error) {
		switch {
		case err != nil:
			done(wire.Item{}, err)
			return
		case seq == 0 || seq > r.head.seq:
			done(wire.Item{}, ErrUnknown)
			return
		case r.ring.Has(seq):
			done(r.ring.Slice(seq, seq)[0], nil)
			return
		case seq > r.head.stored:
			done(wire.Item{}, ErrUnknown)
			return
		}
		started := r.env.reads.startTask(r.env, r.logRoom, func(t *task) {
			items, err := history.Read(t, r.head.seq, r.head.marks, history.Span{From: seq, To: seq})
			switch {
			case err != nil:
				done(wire.Item{}, err)
			case len(items) == 0:
				done(wire.Item{}, ErrUnknown)
			default:
				done(items[0], nil)
			}
		})
		if !started {
			done(wire.Item{}, errOverloaded())
		}
	})
}

// HasID reports whether a message, as encoded for clients, has the given id.
func HasID(json []byte, id string) bool {
	// The id comes first in event.Message's encoding, so text of the message cannot be
	// mistaken for it.
	head := strconv.AppendQuote(append(make([]byte, 0, len(id)+16), `{"id":`...), id)
	return len(json) >= len(head) && string(json[:len(head)]) == string(head)
}
