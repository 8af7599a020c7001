package sequencer

import (
	"slices"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/dedup"
)

// queuedMessage is a message that waits to be stored.
type queuedMessage struct {
	user        wire.User
	clientID    string // its clientMessageId
	id          dedup.ID
	sum         uint64
	messageType string
	content     string
	deadline    time.Time
	attempted   bool // part of an append that failed or whose outcome is unknown
	repeatOnly  bool // refused unless it is stored already
	recipient   recipient
	repeats     []recipient // of the same message, sent again meanwhile
}

func errOverloaded() *code.Error {
	return code.New(code.Unavailable, "the room is overloaded, try again")
}

func errLogUnavailable() *code.Error {
	return code.New(code.Unavailable, "the message log is not available, try again")
}

func errConflict() *code.Error {
	return code.New(code.Conflict, "this clientMessageId was used for another message")
}

func errNotRepeated() *code.Error {
	return code.New(code.RateLimited, "too many messages: wait a moment")
}

// Send stores the messages of a command in their order. It replies after the last of them
// is stored; at once to messages whose client id is known, or when the room is overloaded.
// Reply: wire.Sent.
func (r *Room) Send(cmd *wire.Send, reply string) {
	to := recipientsOf(cmd, reply)
	r.enqueue(cmd.User, &wire.Text{ClientID: cmd.ClientID, Type: cmd.Type, Content: cmd.Content, RepeatOnly: cmd.RepeatOnly}, to.next())
	for i := range cmd.More {
		r.enqueue(cmd.User, &cmd.More[i], to.next())
	}
	r.startNext()
}

// enqueue puts a message in the queue, unless a message with its client id is stored or on
// its way.
func (r *Room) enqueue(user wire.User, t *wire.Text, from recipient) {
	id := dedup.Key{User: user.ID, ClientID: t.ClientID}.ID()
	sum := Sum(t.Type, t.Content)
	if p := r.waiting[id]; p != nil {
		p.repeatOnly = p.repeatOnly && t.RepeatOnly
		r.awaitQueued(p, sum, from)
		return
	}
	if r.indexed && !r.stale {
		if ref, ok := r.index.Find(id); ok {
			r.replyStored(ref, sum, true, from)
			return
		}
		if t.RepeatOnly {
			r.replyRefused(errNotRepeated(), from)
			return
		}
	}
	if len(r.queue) >= maxQueue {
		r.replyRefused(errOverloaded(), from)
		return
	}
	p := &queuedMessage{
		user: user, clientID: t.ClientID, id: id, sum: sum, messageType: t.Type, content: t.Content,
		deadline: r.env.Now().Add(CommandTimeout), repeatOnly: t.RepeatOnly, recipient: from,
	}
	if r.waiting == nil {
		r.waiting = make(map[dedup.ID]*queuedMessage)
	}
	r.waiting[id] = p
	r.queue = append(r.queue, p)
}

// awaitQueued makes a repeat wait for the outcome of the message that is on its way.
func (r *Room) awaitQueued(p *queuedMessage, sum uint64, from recipient) {
	switch {
	case p.sum != sum:
		r.replyRefused(errConflict(), from)
	case len(p.repeats) >= maxRepeats:
		r.replyRefused(errOverloaded(), from)
	default:
		p.repeats = append(p.repeats, from)
	}
}

// replyStored replies to a repeat with the message that is stored.
func (r *Room) replyStored(ref dedup.Ref, sum uint64, duplicate bool, to ...recipient) {
	if ref.Sum != sum {
		r.replyRefused(errConflict(), to...)
		return
	}
	r.Message(ref.Seq, func(it wire.Item, err error) {
		if err != nil {
			r.replyRefused(errLogUnavailable(), to...)
			return
		}
		r.replyAccepted(wire.Outcome{Seq: it.Seq, Message: it.JSON, Duplicate: duplicate}, to...)
	})
}

// replyAccepted sends the outcome to all recipients; to all but the first as a duplicate.
func (r *Room) replyAccepted(o wire.Outcome, to ...recipient) {
	for i, a := range to {
		if o.Duplicate = o.Duplicate || i > 0; o.Duplicate {
			r.env.Counters.Duplicates.Add(1)
		}
		a.replyOutcome(r.env, o)
	}
}

func (r *Room) replyRefused(err *code.Error, to ...recipient) {
	for _, a := range to {
		if err.Code == code.Conflict {
			r.env.Counters.Conflicts.Add(1)
		} else {
			r.env.Counters.Refused.Add(1)
		}
		a.replyOutcome(r.env, wire.Outcome{Fault: wire.FaultOf(err)})
	}
}

// recipients returns everyone who waits for the outcome of p.
func (p *queuedMessage) recipients() []recipient {
	return append([]recipient{p.recipient}, p.repeats...)
}

// appendNext appends the next record to the log.
func (r *Room) appendNext() {
	now := r.env.Now()
	r.indexed = true // the index of a room without messages is complete
	r.index.Trim(uint64(now.UnixMilli()))
	r.expireQueue(now)
	r.refuseNew()
	if len(r.queue) == 0 {
		return
	}
	a := r.env.takeDraft()
	r.fillRecord(&a.rec, uint64(now.UnixMilli()))
	a.data = wire.Append(a.data, &a.rec)
	r.busy, r.sending, r.lastUsedAt = true, len(a.rec.Entries), now
	r.env.Log.Append(r.logRoom, r.head.pos, a.data, func(pos uint64, err error) {
		r.busy = false
		if err != nil {
			r.appendFailed(err)
		} else {
			r.env.Counters.CountStored(len(a.rec.Entries), r.env.Now().Sub(now))
			r.commitRecord(&a.rec, pos, a.data)
		}
		r.env.recycleDraft(a)
		r.startNext()
	})
}

// refuseNew refuses the messages that would be new and may not be. The index is complete.
func (r *Room) refuseNew() {
	r.queue = slices.DeleteFunc(r.queue, func(p *queuedMessage) bool {
		if p.repeatOnly {
			delete(r.waiting, p.id)
			r.replyRefused(errNotRepeated(), p.recipients()...)
		}
		return p.repeatOnly
	})
}

// fillRecord fills rec, an empty one, with the first messages of the queue, up to the limits
// of a record.
func (r *Room) fillRecord(rec *wire.Record, nowMs uint64) {
	at := max(nowMs, r.head.atMs)
	rec.Epoch, rec.Room, rec.First = r.env.Epoch, r.id, r.head.seq+1
	rec.Mark64, rec.Mark1024 = r.head.marks.Near, r.head.marks.Far
	if rec.CreatedMs = r.head.createdMs; rec.CreatedMs == 0 {
		rec.CreatedMs = at
	}
	r.addPage(rec)
	size := 0
	for i, p := range r.queue[:min(len(r.queue), maxBatch)] {
		json := r.encodeMessage(p, rec.First+uint64(i), at)
		if size += len(json); size > maxBatchBytes && i > 0 {
			break
		}
		rec.Entries = append(rec.Entries, wire.Entry{
			User: p.user.ID, ClientID: p.clientID, Sum: p.sum, AtMs: at, JSON: json,
		})
	}
}

// encodeMessage encodes p as clients receive it and the log keeps it.
func (r *Room) encodeMessage(p *queuedMessage, seq, at uint64) []byte {
	m := event.Message{
		ID:      event.MessageID(r.id, seq, at, p.user.ID),
		Content: p.content, Author: event.Author{ID: p.user.ID, Name: p.user.Name},
		RoomID: r.id, MessageType: p.messageType, Seq: seq,
		Timestamp: event.Time(at), CreatedAt: event.Time(at), UpdatedAt: event.Time(at),
	}
	return m.AppendJSON(make([]byte, 0, len(p.content)+len(p.content)/8+320))
}

// commitRecord replies to the senders of the messages in rec, now stored at pos, and
// broadcasts it. data is rec's encoding.
func (r *Room) commitRecord(rec *wire.Record, pos uint64, data []byte) {
	var traces []string
	for i, p := range r.queue[:len(rec.Entries)] {
		traces = r.env.Publisher.AppendTrace(traces, p.recipient.commandSubject()) // before the reply, which ends the span
		o := wire.Outcome{Seq: rec.First + uint64(i), Message: rec.Entries[i].JSON}
		r.replyAccepted(o, p.recipient)
		for o.Duplicate = true; len(p.repeats) > 0; p.repeats = p.repeats[1:] {
			r.replyAccepted(o, p.repeats[0])
		}
		delete(r.waiting, p.id)
		r.index.Add(p.id, refOf(rec, i))
	}
	r.dequeue(len(rec.Entries))
	r.failures = 0
	r.advanceHead(rec, pos)
	r.broadcastRecord(pos, data, traces...)
}

// dequeue removes the first n messages from the queue. It keeps the queue's memory, which
// DropIdleMemory frees.
func (r *Room) dequeue(n int) {
	r.queue = slices.Delete(r.queue, 0, n)
	r.sending = 0
}

// expireQueue refuses the messages whose deadline has passed. The queue is in the order of
// arrival, so they are the first ones.
func (r *Room) expireQueue(now time.Time) {
	n := 0
	for ; n < len(r.queue) && r.queue[n].deadline.Before(now); n++ {
		r.replyRefused(errLogUnavailable(), r.queue[n].recipients()...)
		delete(r.waiting, r.queue[n].id)
	}
	if n > 0 {
		r.dequeue(n)
	}
}

// Sum returns the hash of a message that wire.Entry keeps: FNV-1a of type and content. It
// must stay the same in every release.
func Sum(kind, content string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(kind) {
		h = (h ^ uint64(kind[i])) * prime
	}
	h *= prime // as for a zero byte: it separates kind and content
	for i := range len(content) {
		h = (h ^ uint64(content[i])) * prime
	}
	return h
}
