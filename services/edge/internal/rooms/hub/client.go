package hub

import (
	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/inline"
)

// Client is what the hub knows of a connection, a part of the session. Owned by
// the connection's loop.
type Client struct {
	User    wire.User // static, for whoever knows the user to point to
	out     Outlet
	places  inline.List[place] // rooms joined
	steady  uint64             // where the trail was when it was in no room as a follower any more
	at      int32              // in Local.clients
	Codec   uint8              // the place of its encoder, static
	closing bool
}

// place is where a client stands in a room: in members, or (follower set) apart.
type place struct {
	part     *Part
	follower *Follower
	from     uint64 // seq from which on messages are wanted here: each after it was or will be sent
	at       int32  // in Part.members, without follower
}

// Outlet is what takes the connection's frames, once Local.Add was called.
func (c *Client) Outlet() Outlet { return c.out }

// Close ends the connection, with the code's own reason. It returns false when it
// had been called before.
func (c *Client) Close(k code.Close) bool {
	if c.closing {
		return false
	}
	c.closing = true
	c.out.Close(k, "")
	return true
}

// Closing tells whether Close was called.
func (c *Client) Closing() bool { return c.closing }

// Rooms is the number of rooms that the client has joined.
func (c *Client) Rooms() int { return c.places.Len() }

// PartAt is the client's i-th room, in no particular order.
func (c *Client) PartAt(i int) *Part { return c.places.At(i).part }

// Part is the room of that id if the client has joined it, else nil.
func (c *Client) Part(room string) *Part {
	for i := range c.Rooms() {
		if p := c.PartAt(i); p.room.ID == room {
			return p
		}
	}
	return nil
}

// placeIn is the client's place in p, nil when it has none.
func (c *Client) placeIn(p *Part) *place {
	if i := c.indexOf(p); i >= 0 {
		return c.places.At(i)
	}
	return nil
}

// dropPlace takes the client's place in p away.
func (c *Client) dropPlace(p *Part) {
	if i := c.indexOf(p); i >= 0 {
		c.places.Remove(i)
	}
}

// indexOf is where p is among the places, -1 when it is not there.
func (c *Client) indexOf(p *Part) int {
	for i := range c.Rooms() {
		if c.PartAt(i) == p {
			return i
		}
	}
	return -1
}
