package hub

import (
	"sync/atomic"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
)

// Room is the feeder's side of a room: which loops and codecs have members, and
// what was brought since the last Flush. All methods belong to the feeder.
type Room struct {
	ID    string // static
	Shard int

	// crowded rooms are told no presence. Written by the feeder.
	crowded atomic.Bool

	// Owned by the feeder.
	hub    *Hub
	seats  []seat // by loop
	codecs [codec.Codecs]int32
	out    []post      // to be posted
	items  []wire.Item // messages of the last post in out, handed over with it
}

// seat is a room on one loop.
type seat struct {
	part *Part // nil before the first member came
	n    int32 // members, and who is on the way to become or to cease being one
}

// NewRoom returns a room without members.
func (h *Hub) NewRoom(id string, shard int) *Room {
	r := new(Room)
	r.Init(h, id, shard)
	return r
}

// Init is NewRoom for a room that is a part of something else.
func (r *Room) Init(h *Hub, id string, shard int) {
	r.ID, r.Shard, r.hub, r.seats = id, shard, h, make([]seat, len(h.locals))
}

// SetCrowded says whether the room has too many members for presence.
func (r *Room) SetCrowded(crowded bool) {
	if r.crowded.Load() != crowded {
		r.crowded.Store(crowded)
	}
}

// Members is the number of connections that have joined.
func (r *Room) Members() int {
	n := 0
	for i := range r.seats {
		n += int(r.seats[i].n)
	}
	return n
}

// Messages brings messages that follow each other and whatever was brought
// before. Their JSON is not copied: it must not be changed any more.
func (r *Room) Messages(items []wire.Item) {
	if len(items) == 0 {
		return
	}
	if n := len(r.out); n > 0 && len(r.items) > 0 && r.out[n-1].last+1 == items[0].Seq {
		r.items = append(r.items, items...)
		r.out[n-1].last = items[len(items)-1].Seq
		return
	}
	r.seal()
	r.items = append(r.items, items...)
	r.out = append(r.out, post{class: conn.Message, first: items[0].Seq, last: items[len(items)-1].Seq})
}

// Gap says that the messages from to to, both included, are gone.
func (r *Room) Gap(from, to uint64) {
	g := event.Gap{RoomID: r.ID, From: from, To: to}
	r.seal()
	r.out = append(r.out, post{
		class: conn.Message, first: from, last: to,
		event: Event{Name: event.NameGap, Data: g.AppendJSON(nil)},
	})
}

// Tell brings an event.
func (r *Room) Tell(e Event) {
	r.seal()
	r.out = append(r.out, post{class: e.Class, event: e})
}

// seal gives the messages that were gathered to their post.
func (r *Room) seal() {
	if len(r.items) > 0 {
		r.out[len(r.out)-1].items = r.items
		r.items = nil
	}
}

// Flush posts what was brought to the loops that have members.
func (r *Room) Flush() {
	r.seal()
	if len(r.out) == 0 {
		return
	}
	posts := r.out
	r.out = nil
	for i := range posts {
		r.encode(&posts[i])
	}
	for i := range r.seats {
		if s := &r.seats[i]; s.n > 0 {
			part := s.part
			part.local.loop.Post(func() { part.take(posts) })
		}
	}
}

// encode makes the frames for the codecs that have members.
func (r *Room) encode(p *post) {
	for i, n := range r.codecs {
		if n > 0 {
			p.frames[i] = p.encode(r.hub.encoders[i], 0)
		}
	}
}

// Enter makes room for a member on a loop and runs fn there, behind everything
// that was brought before and ahead of what comes later. fn joins or follows the
// part, or has Leave called. live is the seq of the last message that was brought,
// or that the room had when it began to be fed.
func (r *Room) Enter(loop int, codec uint8, live uint64, fn func(*Part)) {
	r.Flush()
	s := &r.seats[loop]
	if s.part == nil {
		s.part = newPart(r, r.hub.locals[loop])
	}
	s.n++
	r.codecs[codec]++
	part := s.part
	part.local.loop.Post(func() {
		part.settle()
		part.live = max(part.live, live) // without members it was not told
		fn(part)
	})
}

// Leave takes back one Enter, after the member has left the part.
func (r *Room) Leave(loop int, codec uint8) {
	r.seats[loop].n--
	r.codecs[codec]--
}

// Crowded tells what SetCrowded said.
func (r *Room) Crowded() bool { return r.crowded.Load() }
