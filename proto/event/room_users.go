package event

import "github.com/confab-chat/confab/proto/wire"

// NameRoomUsers is sent after joining; in rooms of more than 200 members also when the number changes, at most once a second.
const NameRoomUsers = "roomUsers"

// MaxListed is how many users a list of a room's users has at most.
const MaxListed = 200

var roomUsers = ServerDef{Name: NameRoomUsers, Class: wire.ClassPresence, Payload: serverEvent[RoomUsers]}

// RoomUsers is the payload of roomUsers.
type RoomUsers struct {
	RoomID RoomID `json:"roomId"`
	Users  []User `json:"users"` // at most MaxListed
	Total  uint64 `json:"total"` // all of them
}
