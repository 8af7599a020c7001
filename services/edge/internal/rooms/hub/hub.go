// Package hub knows who is here: the connections of this edge, the rooms they have
// joined, and how what happens in a room reaches its members. Delivery takes no
// locks and, per member, no memory.
//
// A room has two sides. Its feeder, the goroutine that reads the room's NATS
// connection, calls the methods of [Room]; what it brings is posted to every loop
// that has members, one post each, frames made once per codec. Each loop owns its
// members in a [Part] and hands them what was posted. Everything else of a client
// or a part is its loop's too.
package hub

import (
	"sync/atomic"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

// Hub is all loops together. Its fields are static.
type Hub struct {
	encoders [codec.Codecs]codec.Encoder // nil where there is none
	locals   []*Local
}

// New returns a hub over the loops. A client names its codec by its place.
func New(loops []*poll.Loop, codecs ...codec.Codec) *Hub {
	h := &Hub{}
	for i, c := range codecs {
		h.encoders[i] = c
	}
	for _, l := range loops {
		local := &Local{hub: h, loop: l}
		local.rest.local, local.rest.alarm.Owner = local, &local.rest
		h.locals = append(h.locals, local)
	}
	return h
}

// Local returns what the hub has on the loop of that index.
func (h *Hub) Local(loop int) *Local { return h.locals[loop] }

// Busy tells whether some loop has more to do than it should be given. A feeder
// that is told so waits: what it does not fetch is kept, and bounded, before it.
func (h *Hub) Busy() bool {
	for _, l := range h.locals {
		if l.loop.Backlog() > maxBacklog {
			return true
		}
	}
	return false
}

// maxBacklog is half of what a loop accepts of work that may be refused, so that
// work that may not be refused finds room.
const maxBacklog = poll.PostBacklog / 2

// Everyone gives an event to all connections of the edge, but for those that e
// leaves out. Any goroutine may call it. A loop that is overloaded misses it:
// only presence is told this way.
func (h *Hub) Everyone(e Event) {
	p := h.newPost(e)
	for i, enc := range h.encoders {
		if enc != nil {
			p.frames[i] = enc.AppendEvent(nil, e.Name, e.Data)
		}
	}
	for _, l := range h.locals {
		l.loop.TryPost(func() { l.everyone(p) })
	}
}

// Delivered is the number of events given to connections since the start. Any
// goroutine may ask.
func (h *Hub) Delivered() uint64 {
	var n uint64
	for _, l := range h.locals {
		n += l.delivered.Load()
	}
	return n
}

// Clients is the number of connections. Any goroutine may ask.
func (h *Hub) Clients() int {
	n := int64(0)
	for _, l := range h.locals {
		n += l.count.Load()
	}
	return int(n)
}

// OnEach runs fn on every loop, with what the hub has there.
func (h *Hub) OnEach(fn func(*Local)) {
	for _, l := range h.locals {
		l.loop.Post(func() { fn(l) })
	}
}

// Local is the hub's side of one loop, owned by the loop.
type Local struct {
	hub     *Hub // static
	loop    *poll.Loop
	clients []*Client
	trail   *trail // nil until KeepTrail
	rest    rest   // between one turn's writing and the next

	// Written by the loop, read by anybody.
	delivered atomic.Uint64
	count     atomic.Int64 // len(clients)
}

// Add takes a connection in, whose User and Codec are set. It is told events for
// everyone from now on.
func (l *Local) Add(c *Client, out Outlet) {
	c.out = out
	c.steady = l.trailEnd()
	c.at = int32(len(l.clients))
	l.clients = append(l.clients, c)
	l.count.Add(1)
}

// Remove forgets a connection, which has left all rooms.
func (l *Local) Remove(c *Client) {
	last := len(l.clients) - 1
	l.clients[c.at] = l.clients[last]
	l.clients[c.at].at = c.at
	l.clients[last] = nil
	l.clients = l.clients[:last]
	l.count.Add(-1)
}

// Clients are the connections of the loop. The slice is the hub's own: it changes
// with the next Add or Remove.
func (l *Local) Clients() []*Client { return l.clients }

// Now is the loop's time.
func (l *Local) Now() time.Time { return l.loop.Now() }

// Tell gives an event to one connection.
func (l *Local) Tell(c *Client, name string, data []byte, class conn.Class) {
	l.Give(c, l.hub.encoders[c.Codec].AppendEvent(nil, name, data), class)
}

// Give is Tell for an event whose frames were made before, with c's codec.
func (l *Local) Give(c *Client, frames []byte, class conn.Class) {
	if c.out.Send(frames, class) {
		l.delivered.Add(1)
	}
}

func (l *Local) everyone(p *post) {
	n := 0
	for _, c := range l.clients {
		if p.skips(c) {
			continue
		}
		c.out.Send(p.frames[c.Codec], p.class)
		n++
	}
	l.delivered.Add(uint64(n))
}

// Outlet takes a connection's frames; *conn.Conn is one.
type Outlet interface {
	// Send queues complete frames, which are shared and not changed any more.
	Send(frames []byte, class conn.Class) bool
	// Close ends the connection, behind what is queued.
	Close(k code.Close, reason string)
}
