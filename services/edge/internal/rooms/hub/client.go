package hub

import (
	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/inline"
)

// Client is what the hub keeps of a connection. It is embedded in the session and
// owned by the connection's loop.
type Client struct {
	User        wire.User // static: others may point to it
	out         Outlet
	memberships inline.List[membership]
	memberSince uint64 // end of the delivery log when c last stopped following any room
	at          int32  // in Local.clients
	Codec       uint8  // index of its codec, static
	closing     bool
}

// membership is a client in a room: one of its members, or a follower.
type membership struct {
	room     *LocalRoom
	follower *Follower // nil for a member
	from     uint64    // each message after this seq was or will be sent here
	at       int32     // in LocalRoom.members, for a member
}

// Outlet returns what accepts the connection's frames, nil before Local.Add.
func (c *Client) Outlet() Outlet { return c.out }

// Close closes the connection with the code's own reason. It returns false if it was
// called before.
func (c *Client) Close(k code.Close) bool {
	if c.closing {
		return false
	}
	c.closing = true
	c.out.Close(k, "")
	return true
}

// Closing reports whether Close was called.
func (c *Client) Closing() bool { return c.closing }

// Rooms returns the number of rooms that the client has joined.
func (c *Client) Rooms() int { return c.memberships.Len() }

// RoomAt returns the client's i-th room, in no particular order.
func (c *Client) RoomAt(i int) *LocalRoom { return c.memberships.At(i).room }

// LocalRoom returns the room with that id if the client has joined it, else nil.
func (c *Client) LocalRoom(id string) *LocalRoom {
	for i := range c.Rooms() {
		if r := c.RoomAt(i); r.room.ID == id {
			return r
		}
	}
	return nil
}

// membershipIn returns the client's membership in r, nil if there is none.
func (c *Client) membershipIn(r *LocalRoom) *membership {
	if i := c.indexOf(r); i >= 0 {
		return c.memberships.At(i)
	}
	return nil
}

// indexOf returns the index of r among the memberships, -1 if it is not there.
func (c *Client) indexOf(r *LocalRoom) int {
	for i := range c.Rooms() {
		if c.RoomAt(i) == r {
			return i
		}
	}
	return -1
}
