package relay

import (
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
)

// broadcast takes what the owner of a room tells the edges that hold it.
func (in *intake) broadcast(m *nats.Msg) {
	b := in.heardOf(m)
	if b == nil {
		return
	}
	r := in.rooms[b.Room]
	if r == nil { // let go of a moment ago
		return
	}
	in.beginSpans(m.Header)
	if len(b.Record) > 0 { // also from an owner that has lost the shard: the log has accepted it
		r.setTotal(b.Total)
		r.record(b.Record)
		return
	}
	// Presence comes from the owner of a user's shard, whose epochs are others.
	if len(b.Rooms) == 0 {
		if b.Epoch < in.epochs[r.hub.Shard] {
			in.counts.refusedLate.Add(1)
			return
		}
		in.epochs[r.hub.Shard] = b.Epoch
		r.setTotal(b.Total)
	} else if r.hub.Crowded() {
		return
	}
	r.hub.AddEvent(eventOf(b))
	r.touch()
}

// heardOf is a broadcast, until the next one is heard of; nil when it makes no sense.
func (in *intake) heardOf(m *nats.Msg) *wire.Broadcast {
	in.heard = wire.Broadcast{}
	if err := wire.Unmarshal(m.Data, &in.heard); err != nil {
		in.log.Error("broadcast not understood", "event", "relay.broadcast", "subject", m.Subject, "err", err)
		return nil
	}
	return &in.heard
}

// record takes messages of the room.
func (r *room) record(data []byte) {
	var rec wire.Record
	if err := wire.Unmarshal(data, &rec); err != nil {
		r.in.log.Error("record not understood", "event", "relay.record", "room", r.hub.ID, "err", err)
		return
	}
	items := make([]wire.Item, len(rec.Entries))
	for i := range rec.Entries {
		items[i] = wire.Item{Seq: rec.First + uint64(i), JSON: rec.Entries[i].JSON}
	}
	r.stream.Record(r.in.now, items, &r.in.out)
	r.emit()
}

// emit gives the members what the stream has put out, and has asked what it asks.
func (r *room) emit() {
	out := &r.in.out
	for i := range out.Steps {
		if gap := out.Steps[i].Gap; !gap.None() {
			r.hub.AddGap(gap.From, gap.To)
			r.in.counts.gaps.Add(gap.To - gap.From + 1)
		}
		r.hub.AddMessages(out.Steps[i].Items)
	}
	if len(out.Steps) > 0 {
		r.touch()
	}
	if !out.Ask.None() {
		r.in.repairs.add(r, r.in.now)
	}
	if _, due := r.stream.Next(); due {
		r.in.timed[r] = struct{}{}
	} else {
		delete(r.in.timed, r)
	}
}

// tick does what the stream has a time for.
func (r *room) tick() {
	if at, ok := r.stream.Next(); ok && !r.in.now.Before(at) {
		r.stream.Tick(r.in.now, &r.in.out)
		r.emit()
	}
}

// touch notes that the room has something to flush.
func (r *room) touch() {
	if !r.touched {
		r.touched = true
		r.in.touched = append(r.in.touched, r)
	}
}

// setTotal notes how many members the room has, over all edges; 0 is not told.
func (r *room) setTotal(total uint64) {
	if total > 0 {
		r.hub.SetCrowded(total > presenceUpTo)
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

// everyone takes what the owner of a user shard tells all edges.
func (in *intake) everyone(m *nats.Msg) {
	b := in.heardOf(m)
	if b == nil {
		return
	}
	if b.Only != "" && in.user(b.Only) == nil { // whose shard this is: not connected here
		return
	}
	in.hub.SendToAll(eventOf(b))
}

// digest takes the heads of a shard's rooms that have moved. After a silence the heads
// of all of them are asked for: what moved and was told meanwhile is not known.
func (in *intake) digest(shard int, m *nats.Msg) {
	var d wire.Digest
	if err := wire.Unmarshal(m.Data, &d); err != nil {
		in.log.Error("digest not understood", "event", "relay.digest", "subject", m.Subject, "err", err)
		return
	}
	in.heads(d.Heads)
	last := in.digests[shard]
	in.digests[shard] = in.now
	if !last.IsZero() && in.now.Sub(last) > in.relay.silence {
		in.askShard(shard)
	}
}

func (in *intake) heads(heads []wire.Head) {
	for _, h := range heads {
		if r := in.rooms[h.Room]; r != nil {
			r.stream.Head(in.now, h.Seq, &in.out)
			r.emit()
		}
	}
}

// chunks cuts list into parts of n.
func chunks[T any](list []T, n int) [][]T { return slices.Collect(slices.Chunk(list, n)) }
