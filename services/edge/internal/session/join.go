package session

import (
	"slices"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay"
)

// maxRooms is how many rooms one connection may join.
const maxRooms = 100

// join asks for a seat. One connection has at most maxRooms, those in progress included.
func (c *command) join() {
	s := c.s
	if s.LocalRoom(c.room) == nil && s.Rooms()+len(s.work.joining) >= maxRooms {
		c.fail(code.New(code.Forbidden, "a connection can be in %d rooms at most: leave one first", maxRooms))
		return
	}
	s.work.joining = append(s.work.joining, c.room)
	s.local.core.Relay.Join(relay.JoinRequest{
		Room: c.room, User: &s.User, Codec: s.Codec, Loop: s.local.loop, Header: c.header, Deadline: c.deadline(),
	}, c.seated)
}

// seated continues a join with the seat that was asked for.
func (c *command) seated(seat relay.Seat, err error) {
	s := c.s
	since := c.payload.(*event.JoinRoom).Since
	switch {
	case err != nil && s.closed:
	case err != nil:
		c.endJoin()
		c.fail(err)
		s.advance()
	case s.closed:
		s.releaseSeat(c.room, lostGrace)
	case since != nil && *since < seat.Live:
		s.startReplay(c, seat, *since)
	default:
		c.joinLive(seat, since)
	}
}

// joinLive makes the connection a member from here on: there is nothing to replay. A
// client that has seen more than we have gets what comes after that; a since above
// the head cannot have been seen, and does not count.
func (c *command) joinLive(seat relay.Seat, since *uint64) {
	s := c.s
	again := s.LocalRoom(c.room) != nil
	if again {
		s.releaseSeat(c.room, 0)
	}
	var recovered *bool
	ahead := false
	if since != nil {
		seen := *since <= max(seat.Live, seat.Joined.Head)
		recovered = &seen
		ahead = seen && *since > seat.Live
	}
	switch open := c.welcome(seat, recovered); {
	case !open && !again: // closing the session has released only the seats it had taken
		s.releaseSeat(c.room, 0)
	case !open:
	case ahead:
		f, _ := seat.Room.Follow(&s.Client, *since)
		f.Start()
	case !again:
		seat.Room.Join(&s.Client)
	}
	c.endJoin()
	s.advance()
}

// welcome answers the join and sends who is in the room. It returns false when that
// has closed the session: it was to be restored exactly, and cannot be.
func (c *command) welcome(seat relay.Seat, recovered *bool) (open bool) {
	s := c.s
	if c.restoring != nil {
		c.restoring.joined(recovered == nil || *recovered)
	}
	if s.closed {
		c.finish()
		return false
	}
	seq := seat.Live
	if since := c.payload.(*event.JoinRoom).Since; since != nil && recovered != nil && *recovered {
		seq = max(seq, *since) // this edge may lag behind what the client has seen
	}
	c.succeed(&event.JoinedRoom{
		RoomID: c.room, ActiveUsers: seat.Joined.Users, Seq: seq, Recovered: recovered, Timestamp: s.now(),
	})
	users := event.RoomUsers{RoomID: c.room, Users: seat.Joined.Users, Total: seat.Joined.Total}
	object := users.AppendJSON(s.local.buffer())
	s.sendEvent(event.NameRoomUsers, object)
	s.local.keepBuffer(object)
	return true
}

// endJoin ends the join: requests that wait for it can run.
func (c *command) endJoin() {
	w := c.s.work
	if w == nil {
		return
	}
	if i := slices.Index(w.joining, c.room); i >= 0 {
		w.joining = slices.Delete(w.joining, i, i+1)
	}
	if c.id == codec.NoReply && c.restoring == nil { // see joinDefaultRoom
		c.s.needsDefaultRoom = c.s.LocalRoom(c.room) == nil
	}
	w.releaseIdle()
}

// releaseSeat returns a seat that is not taken, or not any more. The others in the room
// are notified after the grace, unless the user has reconnected by then.
func (s *Session) releaseSeat(room string, grace time.Duration) {
	s.local.core.Relay.Leave(relay.Leaving{
		Room: room, User: s.User.ID, Loop: s.local.loop.Index(), Codec: s.Codec, Grace: grace,
	})
}

// leaveRoom ends the membership in a room: here at once; the owner is notified.
func (s *Session) leaveRoom(r *hub.LocalRoom, grace time.Duration) {
	r.Leave(&s.Client)
	if s.work != nil {
		s.work.endReplay(r.ID())
	}
	s.releaseSeat(r.ID(), grace)
}

// joinDefaultRoom joins the default room, which costs nothing and is not answered. When
// it fails it is tried again at the next heartbeat.
func (s *Session) joinDefaultRoom() {
	room := s.local.core.DefaultRoom
	if room == "" {
		return
	}
	s.needsDefaultRoom = false
	s.queueJoin(&event.JoinRoom{RoomID: room}, nil)
}

// queueJoin joins a room on the client's behalf.
func (s *Session) queueJoin(p *event.JoinRoom, r *restoring) {
	s.queue(&command{
		s: s, id: codec.NoReply, def: s.local.core.definitions[event.NameJoinRoom], at: time.Now(),
		payload: p, room: p.RoomID, restoring: r,
	})
}

// restoring counts the joins of a Restore.
type restoring struct {
	left    int
	inexact bool
	done    func(exact bool)
}

// joined counts one join, which may have failed.
func (r *restoring) joined(exact bool) {
	r.left--
	if r.inexact = r.inexact || !exact; r.left == 0 {
		r.done(!r.inexact)
	}
}

// Restore is Opened for a client whose earlier session is recovered: it joins its
// rooms, each from the message behind the last one that the client has had. It costs no
// permits. done runs on the loop, once: exact means that everything missed is there
// and will be sent; otherwise some rooms may have been joined, and the session is of no
// use. It does not run when the session is closed before.
func (s *Session) Restore(l Link, rooms []hub.Position, done func(exact bool)) {
	s.open(l)
	if len(rooms) == 0 {
		done(true)
		return
	}
	r := &restoring{left: len(rooms), done: done}
	for _, room := range rooms {
		s.queueJoin(&event.JoinRoom{RoomID: room.Room, Since: &room.Seq}, r)
	}
}

// DeliveryMark notes what the client has been sent so far, for Restore.
func (s *Session) DeliveryMark() hub.DeliveryMark { return s.local.hub.DeliveryMark(&s.Client) }
