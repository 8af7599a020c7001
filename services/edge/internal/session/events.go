package session

import (
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay"
)

// definition is a row of the catalog and what the edge does about it.
type definition struct {
	event.Def
	run func(*command)
	// instant, instead of run, is the reply to an event that always succeeds at once:
	// it is answered whatever else is in progress, without a command.
	instant func(*Session) event.Reply
}

// definitions returns what the edge does about each client event, by name: local
// events have code of their own here, the others are forwarded.
func definitions() map[string]*definition {
	local := map[string]func(*command){
		event.NameJoinRoom:     (*command).join,
		event.NameLeaveRoom:    (*command).leave,
		event.NameSendMessage:  (*command).send,
		event.NameTyping:       (*command).typing,
		event.NameGetPresence:  (*command).getPresence,
		event.NameRefreshToken: (*command).refreshToken,
	}
	instant := map[string]func(*Session) event.Reply{event.NameHeartbeat: heartbeat}
	all := make(map[string]*definition)
	for _, def := range event.Catalog() {
		d := &definition{Def: def, run: local[def.Name], instant: instant[def.Name]}
		if def.Route != event.RouteLocal {
			d.run = (*command).forward
		}
		all[def.Name] = d
	}
	return all
}

// forward has the owner of the room, or of the user, carry out the event.
func (c *command) forward() {
	s := c.s
	m := wire.Command{User: s.User, Payload: c.json, MaxBytes: uint64(s.local.core.halfQueue())}
	done := s.onLoop(c.forwarded)
	if c.def.Route == event.RouteUser {
		s.local.core.Relay.UserCommand(subject.Shard(s.User.ID), subject.UserOp(c.def.Name), &m, c.header, c.deadline(), done)
		return
	}
	s.local.core.Relay.RoomCommand(subject.Shard(c.room), subject.RoomOp(c.def.Name), &m, c.header, c.deadline(), done)
}

// forwarded passes the owner's answer on to the client.
func (c *command) forwarded(reply []byte, err error) {
	var m wire.Result
	err = relay.Unpack(reply, err, &m)
	if err == nil && len(m.JSON) <= len(`{}`) {
		err = relay.ErrReply
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.s.replyObject(c.id, c.def.Reply, m.JSON)
	if m.Event != "" {
		c.s.sendEvent(m.Event, m.Data)
	}
	c.finish()
}

// leave leaves the room: here at once; the owner is notified.
func (c *command) leave() {
	c.s.leaveRoom(c.s.LocalRoom(c.room), 0)
	c.succeed(&event.LeftRoom{RoomID: c.room, Timestamp: c.s.now()})
}

// typing notifies the owner, at most once.
func (c *command) typing() {
	s := c.s
	m := wire.Typing{Room: c.room, User: s.User, On: c.payload.(*event.Typing).IsTyping}
	s.local.core.Relay.Typing(s.LocalRoom(c.room).Shard(), &m)
	c.succeed(&event.TypingUpdated{Success: true, Timestamp: s.now()})
}

func heartbeat(s *Session) event.Reply {
	return &event.HeartbeatResponse{Timestamp: s.now(), UserID: s.User.ID}
}
