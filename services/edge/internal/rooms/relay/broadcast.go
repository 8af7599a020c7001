package relay

import (
	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
)

// onRoomBroadcast receives a broadcast from the owner of a room.
func (in *intake) onRoomBroadcast(m *nats.Msg) {
	b := in.decodeBroadcast(m)
	if b == nil {
		return
	}
	r := in.rooms[b.Room]
	if r == nil { // closed a moment ago
		return
	}
	in.beginSpans(m.Header)
	if len(b.Record) > 0 { // valid even from an owner that has lost the shard: the log has accepted it
		if items, err := in.decodeRecord(b.Record); err != nil {
			in.relay.malformed.drop(in.now, m.Subject, err)
		} else {
			r.setTotal(b.Total)
			r.stream.Record(in.now, items, &in.out)
			r.deliverOut()
		}
		return
	}
	if err := in.checkEvent(b.Event, b.Data); err != nil {
		in.relay.malformed.drop(in.now, m.Subject, err)
		return
	}
	// Presence comes from the owner of a user shard, whose epochs are unrelated.
	shard := r.hub.Shard
	if len(b.Rooms) > 0 {
		shard = subject.Shard(b.Except)
	}
	if in.isRepeated(shard, b) {
		return
	}
	if len(b.Rooms) == 0 {
		if b.Epoch < in.epochs[r.hub.Shard] {
			return
		}
		if b.Number > 0 && b.Number <= r.shown {
			return
		}
		in.epochs[r.hub.Shard] = b.Epoch
		r.shown = max(r.shown, b.Shown)
		r.setTotal(b.Total)
	} else if r.hub.Crowded() {
		return
	}
	r.hub.AddEvent(eventOf(b))
	r.scheduleFlush()
}

// isRepeated reports whether a numbered event of a shard's owner has arrived before, or will
// be repeated.
func (in *intake) isRepeated(shard int, b *wire.Broadcast) bool {
	if b.Number == 0 {
		return false
	}
	// A list of members replaces the events up to its number, which it shares with other lists.
	isList := b.Event == event.NameRoomUsers && b.Number == in.numbers[shard]
	if b.Number <= in.numbers[shard] && !isList || in.asking[shard] {
		return true
	}
	in.numbers[shard] = b.Number
	return false
}

// decodeBroadcast decodes m into a reused struct, valid until the next call; nil if m is
// malformed.
func (in *intake) decodeBroadcast(m *nats.Msg) *wire.Broadcast {
	in.decoded = wire.Broadcast{}
	if err := wire.Unmarshal(m.Data, &in.decoded); err != nil {
		in.relay.malformed.drop(in.now, m.Subject, err)
		return nil
	}
	return &in.decoded
}

// decodeRecord returns the messages of a record.
func (in *intake) decodeRecord(data []byte) ([]wire.Item, error) {
	var rec wire.Record
	if err := wire.Unmarshal(data, &rec); err != nil {
		return nil, err
	}
	items := make([]wire.Item, len(rec.Entries))
	for i := range rec.Entries {
		items[i] = wire.Item{Seq: rec.First + uint64(i), JSON: rec.Entries[i].JSON}
		if err := in.checkJSON(items[i].JSON); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// deliverOut passes the output of the stream to the hub, and queues the repair that it
// requests.
func (r *room) deliverOut() {
	out := &r.in.out
	for i := range out.Steps {
		if gap := out.Steps[i].Gap; !gap.None() {
			r.hub.AddGap(gap.From, gap.To)
			r.in.counts.lost.Add(gap.To - gap.From + 1)
		}
		r.hub.AddMessages(out.Steps[i].Items)
	}
	if len(out.Steps) > 0 {
		r.scheduleFlush()
	}
	if !out.Ask.None() {
		r.in.repairs.add(r)
	}
	if _, due := r.stream.Next(); due {
		r.in.withTimer[r] = struct{}{}
	} else {
		delete(r.in.withTimer, r)
	}
}

// tick runs what the stream has due.
func (r *room) tick() {
	if at, ok := r.stream.Next(); ok && !r.in.now.Before(at) {
		r.stream.Tick(r.in.now, &r.in.out)
		r.deliverOut()
	}
}

// scheduleFlush makes the intake flush the room at the end of this turn.
func (r *room) scheduleFlush() {
	if !r.flushDue {
		r.flushDue = true
		r.in.toFlush = append(r.in.toFlush, r)
	}
}

// setTotal updates the number of members over all edges; 0 means unknown.
func (r *room) setTotal(total uint64) {
	if total > 0 {
		r.hub.SetCrowded(total > maxPresenceMembers)
	}
}

func eventOf(b *wire.Broadcast) hub.Event {
	e := hub.Event{Name: b.Event, Data: b.Data, Except: b.Except, Only: b.Only, Rooms: b.Rooms}
	switch b.Class {
	case wire.ClassTyping:
		e.Class = conn.Typing
	case wire.ClassPresence:
		e.Class = conn.Presence
	default:
		e.Class = conn.Message
	}
	return e
}

// onUserBroadcast receives a broadcast from the owner of a user shard.
func (in *intake) onUserBroadcast(m *nats.Msg) {
	b := in.decodeBroadcast(m)
	if b == nil {
		return
	}
	if b.Only != "" && in.user(b.Only) == nil { // the user is not connected here
		return
	}
	if err := in.checkEvent(b.Event, b.Data); err != nil {
		in.relay.malformed.drop(in.now, m.Subject, err)
		return
	}
	if in.isRepeated(subject.Shard(b.Except), b) {
		return
	}
	in.hub.SendToAll(eventOf(b))
}

// onDigest receives the heads of a shard's rooms that have moved. After a silence it
// requests the heads of all rooms of the shard, since digests may have been missed.
func (in *intake) onDigest(shard int, m *nats.Msg) {
	var d wire.Digest
	if err := wire.Unmarshal(m.Data, &d); err != nil {
		in.relay.malformed.drop(in.now, m.Subject, err)
		return
	}
	in.updateHeads(d.Heads)
	if in.numbers[shard] > 0 && max(in.numbers[shard], in.repeated[shard]) < d.Before {
		in.askRepeat(shard)
	}
	if !in.asking[shard] {
		in.numbers[shard] = max(in.numbers[shard], d.Number)
	}
	last := in.digests[shard]
	in.digests[shard] = in.now
	if !last.IsZero() && in.now.Sub(last) > in.relay.silence {
		in.askShard(shard)
	}
}

// updateHeads passes heads to the streams of their rooms.
func (in *intake) updateHeads(heads []wire.Head) {
	for _, h := range heads {
		if r := in.rooms[h.Room]; r != nil {
			r.stream.Head(in.now, h.Seq, &in.out)
			r.deliverOut()
		}
	}
}
