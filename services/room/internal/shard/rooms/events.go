package rooms

import (
	"time"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
)

// The events of a room other than messages, encoded for clients.

func (s *Set) memberChange(r *room, name string, now time.Time, u wire.User) *wire.Broadcast {
	e := event.MemberChange{UserID: u.ID, Username: u.Name, RoomID: r.ID(), Timestamp: event.At(now)}
	return &wire.Broadcast{
		Event: name, Data: e.AppendJSON(nil), Class: wire.ClassPresence,
		Except: u.ID, Total: uint64(r.members.Len()),
	}
}

func userTyping(r *room, now time.Time, u wire.User, on bool) *wire.Broadcast {
	e := event.UserTyping{UserID: u.ID, Username: u.Name, RoomID: r.ID(), IsTyping: on, Timestamp: event.At(now)}
	return &wire.Broadcast{
		Event: event.NameUserTyping, Data: e.AppendJSON(nil), Class: wire.ClassTyping, Except: u.ID,
	}
}

// roomUsers lists users, some of the room's members.
func roomUsers(r *room, users []wire.User) *wire.Broadcast {
	total := uint64(r.members.Len())
	e := event.RoomUsers{RoomID: r.ID(), Users: users, Total: total}
	return &wire.Broadcast{
		Event: event.NameRoomUsers, Data: e.AppendJSON(nil), Class: wire.ClassPresence, Total: total,
	}
}

func messageRead(r *room, m readMark) *wire.Broadcast {
	e := event.MessageReadUpdate{
		RoomID: r.ID(), UserID: m.user.ID, Username: m.user.Name,
		MessageID: m.id, Seq: m.seq, Timestamp: event.Time(m.atMs),
	}
	return &wire.Broadcast{
		Event: event.NameMessageReadUpdate, Data: e.AppendJSON(nil), Class: wire.ClassPresence,
	}
}

func (s *Set) roomStats(r *room) []byte {
	s.scratchUsers = r.members.AppendUsers(s.scratchUsers[:0], event.MaxListed)
	e := event.RoomStats{
		RoomID: r.ID(), UserCount: uint64(r.members.Len()), Users: s.scratchUsers,
		CreatedAt: event.Time(r.CreatedMs()), LastActivity: event.Time(r.activity()),
		Timestamp: event.At(s.cfg.Now()),
	}
	if r.ephemeral != nil {
		e.TypingUsers = r.ephemeral.typing.List()
	}
	return e.AppendJSON(nil)
}
