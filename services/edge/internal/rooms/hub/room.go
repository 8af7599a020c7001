package hub

import (
	"sync/atomic"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
)

// Room is the intake's side of a room: which loops and codecs have members, and what
// was added since the last Flush. Only the intake may call its methods.
type Room struct {
	// Static.
	ID    string
	Shard int
	hub   *Hub

	// Written by the intake, read by the loops: the room has too many members for presence.
	crowded atomic.Bool

	// Owned by the intake.
	seats  []loopSeats // by loop index
	codecs [codec.Codecs]int32
	posts  []post      // added since the last Flush
	items  []wire.Item // messages of the last of posts, which gets them in closeBatch
}

// loopSeats counts a room's members on one loop.
type loopSeats struct {
	local *LocalRoom // nil until the first member
	n     int32      // members, joins and leaves under way included
}

// Init makes r a room without members. It must be called once, before all other methods.
func (r *Room) Init(h *Hub, id string, shard int) {
	r.ID, r.Shard, r.hub, r.seats = id, shard, h, make([]loopSeats, len(h.locals))
}

// SetCrowded sets whether the room has too many members for presence.
func (r *Room) SetCrowded(crowded bool) {
	if r.crowded.Load() != crowded {
		r.crowded.Store(crowded)
	}
}

// Crowded reports whether the room has too many members for presence.
func (r *Room) Crowded() bool { return r.crowded.Load() }

// AddMessages adds messages in seq order, which come after everything added before.
// Their JSON is not copied and must not change any more.
func (r *Room) AddMessages(items []wire.Item) {
	if len(items) == 0 {
		return
	}
	if n := len(r.posts); n > 0 && len(r.items) > 0 && r.posts[n-1].last+1 == items[0].Seq {
		r.items = append(r.items, items...)
		r.posts[n-1].last = items[len(items)-1].Seq
		return
	}
	r.closeBatch()
	r.items = append(r.items, items...)
	r.posts = append(r.posts, post{class: conn.Message, first: items[0].Seq, last: items[len(items)-1].Seq})
}

// AddGap adds the notice that the messages from from to to, both included, are lost.
func (r *Room) AddGap(from, to uint64) {
	g := event.Gap{RoomID: r.ID, From: from, To: to}
	r.closeBatch()
	r.posts = append(r.posts, post{
		class: conn.Message, first: from, last: to,
		event: Event{Name: event.NameGap, Data: g.AppendJSON(nil)},
	})
}

// AddEvent adds an event.
func (r *Room) AddEvent(e Event) {
	r.closeBatch()
	r.posts = append(r.posts, post{class: e.Class, event: e})
}

// closeBatch moves the collected messages into their post.
func (r *Room) closeBatch() {
	if len(r.items) > 0 {
		r.posts[len(r.posts)-1].items = r.items
		r.items = nil
	}
}

// Flush posts what was added to the loops that have members.
func (r *Room) Flush() {
	r.closeBatch()
	if len(r.posts) == 0 {
		return
	}
	posts := r.posts
	r.posts = nil
	for i := range posts {
		r.encode(&posts[i])
	}
	for i := range r.seats {
		if s := &r.seats[i]; s.n > 0 {
			local := s.local
			local.local.loop.Post(func() { local.addPosts(posts) })
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

// Enter reserves a seat on a loop and runs fn there: after everything added so far has
// been delivered and before anything that is added later. fn joins or follows the
// local room, or makes sure that Leave is called. live is the seq of the last message
// that was added, or the head of the room when its intake began.
func (r *Room) Enter(loop int, codec uint8, live uint64, fn func(*LocalRoom)) {
	r.Flush()
	s := &r.seats[loop]
	if s.local == nil {
		s.local = newLocalRoom(r, r.hub.locals[loop])
	}
	s.n++
	r.codecs[codec]++
	local := s.local
	local.local.loop.Post(func() {
		local.deliverPending()
		local.live = max(local.live, live) // without members it was not updated
		fn(local)
	})
}

// Leave releases the seat of one Enter, after the member has left the local room.
func (r *Room) Leave(loop int, codec uint8) {
	r.seats[loop].n--
	r.codecs[codec]--
}
