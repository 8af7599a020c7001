package event

import "github.com/confab-chat/confab/proto/wire"

// Server events with the payload MemberChange.
const (
	// NameUserJoined is sent when another user's first connection has joined the room.
	NameUserJoined = "userJoined"
	// NameUserLeft is sent when another user's last connection has left the room.
	NameUserLeft = "userLeft"
)

var (
	userJoined = ServerDef{Name: NameUserJoined, Class: wire.ClassPresence, Payload: serverEvent[MemberChange]}
	userLeft   = ServerDef{Name: NameUserLeft, Class: wire.ClassPresence, Payload: serverEvent[MemberChange]}
)

// MemberChange is the payload of userJoined and userLeft.
type MemberChange struct {
	UserID    UserID `json:"userId"`
	Username  Text   `json:"username"`
	RoomID    RoomID `json:"roomId"`
	Timestamp Time   `json:"timestamp"`
}
