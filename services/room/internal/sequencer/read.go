package sequencer

import (
	"errors"
	"strconv"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/cache"
	"github.com/confab-chat/confab/services/room/internal/sequencer/history"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

const (
	// maxPageBytes bounds the messages of one History reply, under NATS's 1 MB.
	maxPageBytes = 512 << 10

	// oldestFresh is how long the first retained message is believed to be the
	// same: retention moves it slowly, and it only decides hasMore at the very end.
	oldestFresh = 10 * time.Second
)

// ErrUnknown is given for a message that does not exist, or no longer.
var ErrUnknown = errors.New("no such message")

// History answers q, from memory when it can.
func (r *Room) History(q *wire.History, reply string) {
	r.WhenLoaded(func(err error) {
		if err != nil {
			r.env.Publisher.Publish(reply, &wire.Messages{Fault: wire.FaultOf(err)})
			return
		}
		if r.head.seq == 0 || q.HasAfter && (q.After >= r.head.seq || r.ring.Has(q.After+1)) {
			r.page(q, r.oldest, reply) // needs no look at the other end
			return
		}
		r.withOldest(func(oldest uint64, err error) {
			if err != nil {
				r.unreadable(err, reply)
				return
			}
			r.page(q, oldest, reply)
		})
	})
}

// page answers q when the first message retained is oldest.
func (r *Room) page(q *wire.History, oldest uint64, reply string) {
	head := r.head.seq
	span := history.Plan(q, head, oldest)
	switch {
	case span.Empty():
		r.env.Publisher.Publish(reply, &wire.Messages{Head: head, Oldest: oldest})
		return
	}
	r.chunks(span, func(items []wire.Item, err error) {
		if err != nil {
			r.unreadable(err, reply)
			return
		}
		r.answer(q, items, head, oldest, reply)
	})
}

// atHand is the messages of span, if all of them are in memory.
func (r *Room) atHand(span history.Span) ([]wire.Item, bool) {
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

// chunks collects the messages of span, from memory or from the log; what is read there
// is whole chunks, which are kept for the next who asks.
func (r *Room) chunks(span history.Span, done func([]wire.Item, error)) {
	if items, ok := r.atHand(span); ok {
		done(items, nil)
		return
	}
	r.whenRead(func(leave func()) {
		if items, ok := r.atHand(span); ok { // somebody else has read it meanwhile
			done(items, nil)
			leave()
			return
		}
		r.env.chunksUsedAt = r.env.Now()
		from, to := cache.ChunkBounds(span.From, span.To)
		whole := history.Span{From: from, To: min(to, r.head.seq)}
		history.Read(r.env.Log, r.logRoom, r.head.seq, r.head.marks, whole, func(items []wire.Item, err error) {
			if err == nil {
				r.env.chunks.Add(r.id, items)
				r.warm(items)
			}
			done(within(items, span), err)
			leave()
		})
	}, done)
}

// within is the items that are in span.
func within(items []wire.Item, span history.Span) []wire.Item {
	for len(items) > 0 && items[0].Seq < span.From {
		items = items[1:]
	}
	for len(items) > 0 && items[len(items)-1].Seq > span.To {
		items = items[:len(items)-1]
	}
	return items
}

// warm keeps the room's newest messages, read for one who came, for those who
// come next.
func (r *Room) warm(items []wire.Item) {
	n := len(items)
	if n == 0 || items[n-1].Seq != r.head.seq || r.ring.First() > 0 && r.ring.First() <= items[0].Seq {
		return
	}
	r.ring.Clear() // a cold room has its last record there, from when it was loaded
	for _, it := range items {
		r.ring.Add(it)
	}
	r.lastUsedAt = r.env.Now()
}

func (r *Room) answer(q *wire.History, items []wire.Item, head, oldest uint64, reply string) {
	items = history.Fit(q, items, maxPageBytes)
	if len(items) > 0 && (oldest == 0 || items[0].Seq < oldest) {
		oldest = items[0].Seq
	}
	r.env.Publisher.Publish(reply, &wire.Messages{
		Items: items, More: history.More(q, items, head, oldest), Head: head, Oldest: oldest,
	})
}

func (r *Room) unreadable(err error, reply string) {
	r.env.Counters.CountRetry(err)
	r.env.Publisher.Publish(reply, &wire.Messages{Fault: wire.FaultOf(errLogUnavailable())})
}

// read collects the messages of span from the log, when its turn comes.
func (r *Room) read(span history.Span, done func([]wire.Item, error)) {
	r.whenRead(func(leave func()) {
		history.Read(r.env.Log, r.logRoom, r.head.seq, r.head.marks, span, func(items []wire.Item, err error) {
			done(items, err)
			leave()
		})
	}, done)
}

// whenRead runs f when its turn to read has come; it ends with leave. Too many wait:
// done is told so.
func (r *Room) whenRead(f func(leave func()), done func([]wire.Item, error)) {
	if !r.env.reads.enter(func() { f(r.env.reads.leave) }) {
		done(nil, errOverloaded())
	}
}

// withOldest finds the seq of the first message that the log still has.
func (r *Room) withOldest(done func(uint64, error)) {
	now := r.env.Now()
	if r.oldest > 0 && now.Sub(r.oldestAt) < oldestFresh {
		done(r.oldest, nil)
		return
	}
	r.env.Log.First(r.logRoom, func(s log.Stored, err error) {
		var rec wire.Record
		if err == nil {
			err = wire.Unmarshal(s.Data, &rec)
		}
		if err != nil {
			done(0, err)
			return
		}
		r.oldest, r.oldestAt = rec.First, now
		done(rec.First, nil)
	})
}

// Message finds the message seq. ErrUnknown: there is none, or no longer.
func (r *Room) Message(seq uint64, done func(wire.Item, error)) {
	r.WhenLoaded(func(err error) {
		switch {
		case err != nil:
			done(wire.Item{}, err)
		case seq == 0 || seq > r.head.seq:
			done(wire.Item{}, ErrUnknown)
		case r.ring.Has(seq):
			done(r.ring.Slice(seq, seq)[0], nil)
		default:
			r.read(history.Span{From: seq, To: seq}, func(items []wire.Item, err error) {
				switch {
				case err != nil:
					done(wire.Item{}, err)
				case len(items) == 0:
					done(wire.Item{}, ErrUnknown)
				default:
					done(items[0], nil)
				}
			})
		}
	})
}

// HasID tells whether a message as clients see it has the given id.
func HasID(json []byte, id string) bool {
	// The id comes first in event.Message's encoding; a quoted id of the same
	// length elsewhere in the message cannot be taken for it.
	head := strconv.AppendQuote(append(make([]byte, 0, len(id)+16), `{"id":`...), id)
	return len(json) >= len(head) && string(json[:len(head)]) == string(head)
}
