package session

import (
	"slices"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay"
)

// maxRooms is how many rooms one connection may join.
const maxRooms = 100

func joinRoom(c *command, data []byte) error {
	var p event.JoinRoom
	if err := p.Decode(data); err != nil {
		return err
	}
	c.room, c.action = p.RoomID, wire.ActionJoin
	if p.Since != nil {
		c.action = wire.ActionResume
	}
	c.run = func(c *command) { c.join(p.Since) }
	return nil
}

// join asks for a seat. One connection has at most maxRooms, those under way included.
func (c *command) join(since *uint64) {
	s := c.s
	if s.LocalRoom(c.room) == nil && s.Rooms()+len(s.work.joining) >= maxRooms {
		c.fail(code.New(code.Forbidden, "a connection can be in %d rooms at most: leave one first", maxRooms))
		return
	}
	s.work.joining = append(s.work.joining, c.room)
	s.local.core.Relay.Join(relay.JoinRequest{
		Room: c.room, User: &s.User, Codec: s.Codec, Loop: s.local.loop, Header: c.header, Deadline: c.deadline(),
	}, func(seat relay.Seat, err error) {
		switch {
		case err != nil && s.closed:
		case err != nil:
			c.joinEnded()
			c.fail(err)
			s.advance()
		case s.closed:
			s.giveBack(c.room, lostGrace)
		case since != nil && *since < seat.Live:
			s.follow(c, seat, *since)
		default:
			c.take(seat, since)
		}
	})
}

// take makes the connection a member from here on: there is nothing to replay. A
// client that has seen more than we have gets what comes after that; a since above
// the head is nothing that anybody can have seen, and does not count.
func (c *command) take(seat relay.Seat, since *uint64) {
	s := c.s
	again := s.LocalRoom(c.room) != nil
	if again {
		s.giveBack(c.room, 0)
	}
	var recovered *bool
	ahead := false
	if since != nil {
		seen := *since <= max(seat.Live, seat.Joined.Head)
		recovered = &seen
		ahead = seen && *since > seat.Live
	}
	switch lives := c.welcome(seat, recovered); {
	case !lives && !again: // with the session went only what it had taken
		s.giveBack(c.room, 0)
	case !lives:
	case ahead:
		f, _ := seat.Room.Follow(&s.Client, *since)
		f.Start()
	case !again:
		seat.Room.Join(&s.Client)
	}
	c.joinEnded()
	s.advance()
}

// welcome says that the room was joined, and who is in it. It returns false when the
// session has ended by that: it was to be restored exactly, and cannot be.
func (c *command) welcome(seat relay.Seat, recovered *bool) bool {
	s := c.s
	if c.restored != nil {
		c.restored(recovered == nil || *recovered)
	}
	if s.closed {
		c.finish()
		return false
	}
	c.succeed(&event.JoinedRoom{
		RoomID: c.room, ActiveUsers: seat.Joined.Users, Seq: seat.Live, Recovered: recovered, Timestamp: s.now(),
	})
	users := event.RoomUsers{RoomID: c.room, Users: seat.Joined.Users, Total: seat.Joined.Total}
	object := users.AppendJSON(s.local.object())
	s.tell(event.NameRoomUsers, object)
	s.local.giveBack(object)
	return true
}

// joinEnded lets what waits for the join go on.
func (c *command) joinEnded() {
	w := c.s.work
	if w == nil {
		return
	}
	if i := slices.Index(w.joining, c.room); i >= 0 {
		w.joining = slices.Delete(w.joining, i, i+1)
	}
	if c.name == "" && c.restored == nil { // nobody asked for it: see joinDefault
		c.s.homeless = c.s.LocalRoom(c.room) == nil
	}
	w.tidy()
}

func (s *Session) advance() {
	if s.work != nil {
		s.work.advance()
	}
}

// giveBack returns a seat that is not taken, or not any more.
func (s *Session) giveBack(room string, grace time.Duration) {
	s.local.core.Relay.Leave(relay.Leaving{
		Room: room, User: s.User.ID, Loop: s.local.loop.Index(), Codec: s.Codec, Grace: grace,
	})
}

func leaveRoom(c *command, data []byte) error {
	var p event.LeaveRoom
	if err := p.Decode(data); err != nil {
		return err
	}
	c.room = p.RoomID
	c.run = func(c *command) {
		c.s.leave(c.s.LocalRoom(p.RoomID), 0)
		c.succeed(&event.LeftRoom{RoomID: p.RoomID, Timestamp: c.s.now()})
	}
	return nil
}

// leave ends the membership in a room: here at once; the owner is told.
func (s *Session) leave(p *hub.LocalRoom, grace time.Duration) {
	p.Leave(&s.Client)
	if s.work != nil {
		s.work.endReplay(p.ID())
	}
	s.giveBack(p.ID(), grace)
}

// joinDefault joins the default room, which costs nothing and is not answered. When
// it fails it is tried again at the next heartbeat.
func (s *Session) joinDefault() {
	room := s.local.core.DefaultRoom
	if room == "" {
		return
	}
	s.homeless = false
	s.begin(&command{
		s: s, id: codec.NoReply, room: room, reply: event.NameJoinedRoom, at: time.Now(),
		run: func(c *command) { c.join(nil) },
	})
}
