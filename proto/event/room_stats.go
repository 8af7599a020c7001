package event

import "github.com/confab-chat/confab/proto/wire"

// NameRoomStats is sent after the reply to getRoomStats, to the connection that asked.
const NameRoomStats = "roomStats"

var roomStats = ServerDef{Name: NameRoomStats, Class: wire.ClassReliable, Payload: serverEvent[RoomStats]}

// RoomStats is the payload of roomStats.
type RoomStats struct {
	RoomID       RoomID     `json:"roomId"`
	UserCount    uint64     `json:"userCount"` // all of them
	Users        []User     `json:"users"`     // at most MaxListed
	TypingUsers  UserIDs    `json:"typingUsers"`
	CreatedAt    TimeOrNull `json:"createdAt"`    // null when unknown
	LastActivity TimeOrNull `json:"lastActivity"` // null when unknown
	Timestamp    Time       `json:"timestamp"`
}
