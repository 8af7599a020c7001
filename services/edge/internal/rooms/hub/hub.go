// Package hub holds the connections of this edge and the rooms they have joined, and
// delivers what happens in a room to its members. Delivery takes no locks and
// allocates nothing per member.
//
// A room has two sides. The intake, the goroutine that reads the room's NATS
// connection, calls the methods of [Room]. What it adds is posted once to every loop
// that has members, with one encoding per codec. Each loop owns its members in a
// [LocalRoom] and delivers what was posted to them. All other state of a client or a
// local room belongs to its loop too.
package hub

import (
	"sync/atomic"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

// Hub spans all loops of the edge. Its fields are static.
type Hub struct {
	encoders [codec.Codecs]codec.Encoder // nil where no codec is registered
	locals   []*Local                    // by loop index
}

// New returns a hub over the loops. Client.Codec is an index into codecs.
func New(loops []*poll.Loop, codecs ...codec.Codec) *Hub {
	h := &Hub{}
	for i, c := range codecs {
		h.encoders[i] = c
	}
	for _, l := range loops {
		local := &Local{hub: h, loop: l}
		local.pause.local, local.pause.timer.Owner = local, &local.pause
		h.locals = append(h.locals, local)
	}
	return h
}

// Local returns the hub's part on the loop with that index.
func (h *Hub) Local(loop int) *Local { return h.locals[loop] }

// Busy reports whether any loop's backlog is so long that the intake should wait.
// Meanwhile NATS keeps what the intake does not fetch, within the bounds of its
// subscription. Any goroutine may call it.
func (h *Hub) Busy() bool {
	for _, l := range h.locals {
		if l.loop.Backlog() > maxBacklog {
			return true
		}
	}
	return false
}

// maxBacklog is half of the refusable work that a loop accepts. The other half leaves
// space for work that must not be refused.
const maxBacklog = poll.PostBacklog / 2

// SendToAll sends an event to all connections of the edge, except those that e leaves
// out. Any goroutine may call it. An overloaded loop drops the event, so it is for
// presence only.
func (h *Hub) SendToAll(e Event) {
	p := &post{class: e.Class, event: e}
	for i, enc := range h.encoders {
		if enc != nil {
			p.frames[i] = enc.AppendEvent(nil, e.Name, e.Data)
		}
	}
	for _, l := range h.locals {
		l.loop.TryPost(func() { l.sendToAll(p) })
	}
}

// Delivered returns the number of events that connections have accepted since the
// start. Any goroutine may call it.
func (h *Hub) Delivered() uint64 {
	var n uint64
	for _, l := range h.locals {
		n += l.delivered.Load()
	}
	return n
}

// ConnCount returns the number of connections. Any goroutine may call it.
func (h *Hub) ConnCount() int {
	n := int64(0)
	for _, l := range h.locals {
		n += l.count.Load()
	}
	return int(n)
}

// OnEachLoop runs fn on every loop, with the hub's part there. Any goroutine may call it.
func (h *Hub) OnEachLoop(fn func(*Local)) {
	for _, l := range h.locals {
		l.loop.Post(func() { fn(l) })
	}
}

// Local is the hub's part on one loop, owned by that loop.
type Local struct {
	// Static.
	hub  *Hub
	loop *poll.Loop

	// Owned by the loop.
	clients    []*Client
	deliveries *deliveryLog // nil until KeepDeliveryLog
	pause      writePause

	// Written by the loop, read by any goroutine.
	delivered atomic.Uint64
	count     atomic.Int64 // len(clients)
}

// Add registers a connection, whose User and Codec are set. From now on it gets the
// events of SendToAll.
func (l *Local) Add(c *Client, out Outlet) {
	c.out = out
	c.memberSince = l.deliveryLogEnd()
	c.at = int32(len(l.clients))
	l.clients = append(l.clients, c)
	l.count.Add(1)
}

// Remove forgets a connection, which must have left all rooms.
func (l *Local) Remove(c *Client) {
	last := len(l.clients) - 1
	l.clients[c.at] = l.clients[last]
	l.clients[c.at].at = c.at
	l.clients[last] = nil
	l.clients = l.clients[:last]
	l.count.Add(-1)
}

// Clients returns the connections of the loop. The slice belongs to the hub and
// changes with the next Add or Remove.
func (l *Local) Clients() []*Client { return l.clients }

// SendEvent encodes an event and sends it to one connection.
func (l *Local) SendEvent(c *Client, name string, data []byte, class conn.Class) {
	l.SendFrames(c, l.hub.encoders[c.Codec].AppendEvent(nil, name, data), class)
}

// SendFrames sends one event that is already encoded with c's codec.
func (l *Local) SendFrames(c *Client, frames []byte, class conn.Class) {
	l.send(c, frames, class, 1)
}

// send queues frames of so many events, and counts the events if c accepts them.
func (l *Local) send(c *Client, frames []byte, class conn.Class, events int) {
	if c.out.Send(frames, class) {
		l.delivered.Add(uint64(events))
	}
}

func (l *Local) sendToAll(p *post) {
	n := 0
	for _, c := range l.clients {
		if !p.skips(c) && c.out.Send(p.frames[c.Codec], p.class) {
			n++
		}
	}
	l.delivered.Add(uint64(n))
}

// Outlet accepts a connection's outgoing frames; *conn.Conn implements it.
type Outlet interface {
	// Send queues complete frames. They are shared and must not change any more. It
	// reports whether the connection accepted them.
	Send(frames []byte, class conn.Class) bool
	// Close closes the connection after what is queued has been written.
	Close(k code.Close, reason string)
}
