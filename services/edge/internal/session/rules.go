package session

import (
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/subject"
)

type roomOp = subject.RoomOp

// rule is a row of the catalog and what the edge does about it.
type rule struct {
	event.Def
	// begin decodes and checks the payload, and sets the command's room, action and
	// run. Its error is a *code.Error.
	begin func(c *command, data []byte) error
	// instant, instead of begin, is the reply to what asks nobody and always succeeds:
	// it needs no command.
	instant func(*Session) event.Reply
}

// rules are those of the catalog's events that have one. A test finds the others.
func rules() []rule {
	begins := map[string]func(*command, []byte) error{
		event.NameJoinRoom:       joinRoom,
		event.NameLeaveRoom:      leaveRoom,
		event.NameSendMessage:    sendMessage,
		event.NameTyping:         typing,
		event.NameGetRoomStats:   getRoomStats,
		event.NameGetHistory:     getHistory,
		event.NameUpdatePresence: updatePresence,
		event.NameGetPresence:    getPresence,
		event.NameMessageRead:    messageRead,
		event.NameRefreshToken:   refreshToken,
	}
	instants := map[string]func(*Session) event.Reply{event.NameHeartbeat: heartbeat}
	var list []rule
	for _, def := range event.Catalog() {
		if begin, instant := begins[def.Name], instants[def.Name]; begin != nil || instant != nil {
			list = append(list, rule{def, begin, instant})
		}
	}
	return list
}
