package rooms

import (
	"time"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/readmark"
)

// The events of a room other than messages, encoded for clients.

func (s *Set) memberChange(r *room, name string, now time.Time, u wire.User, number uint64) *wire.Broadcast {
	e := event.MemberChange{UserID: u.ID, Username: u.Name, RoomID: r.ID(), Timestamp: event.At(now)}
	b := event.Broadcast(name, &e)
	b.Except, b.Total, b.Number = u.ID, uint64(r.members.Len()), number
	return b
}

func userTyping(r *room, now time.Time, u wire.User, on bool) *wire.Broadcast {
	e := event.UserTyping{UserID: u.ID, Username: u.Name, RoomID: r.ID(), IsTyping: on, Timestamp: event.At(now)}
	b := event.Broadcast(event.NameUserTyping, &e)
	b.Except = u.ID
	return b
}

// roomUsers lists users, some of the room's members: all that members were shown up to the
// event with the number shown.
func roomUsers(r *room, users []wire.User, shown uint64) *wire.Broadcast {
	total := uint64(r.members.Len())
	e := event.RoomUsers{RoomID: r.ID(), Users: users, Total: total}
	b := event.Broadcast(event.NameRoomUsers, &e)
	b.Total, b.Shown = total, shown
	return b
}

func messageRead(r *room, m readmark.Mark) *wire.Broadcast {
	e := event.MessageReadUpdate{
		RoomID: r.ID(), UserID: m.User.ID, Username: m.User.Name,
		MessageID: m.MessageID, Seq: m.Seq, Timestamp: event.Time(m.AtMs),
	}
	return event.Broadcast(event.NameMessageReadUpdate, &e)
}

// roomStats is the room's statistics now. Its Users are valid until the next call.
func (s *Set) roomStats(r *room) event.RoomStats {
	s.scratchUsers = r.members.AppendUsers(s.scratchUsers[:0], event.MaxListed)
	e := event.RoomStats{
		RoomID: r.ID(), UserCount: uint64(r.members.Len()), Users: s.scratchUsers,
		CreatedAt: event.Time(r.CreatedMs()), LastActivity: event.Time(r.activity()),
		Timestamp: event.At(s.cfg.Now()),
	}
	if r.ephemeral != nil {
		e.TypingUsers = r.ephemeral.typing.List()
	}
	return e
}
