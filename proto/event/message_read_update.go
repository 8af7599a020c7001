package event

import "github.com/confab-chat/confab/proto/wire"

// NameMessageReadUpdate is sent when a user has read a message, in rooms of up to 200 members; several are merged into one.
const NameMessageReadUpdate = "messageReadUpdate"

var messageReadUpdate = ServerDef{Name: NameMessageReadUpdate, Class: wire.ClassPresence, Payload: serverEvent[MessageReadUpdate]}

// MessageReadUpdate is the payload of messageReadUpdate.
type MessageReadUpdate struct {
	RoomID    RoomID `json:"roomId"`
	UserID    UserID `json:"userId"`
	Username  Text   `json:"username"`
	MessageID string `json:"messageId"`
	Seq       uint64 `json:"seq"`
	Timestamp Time   `json:"timestamp"`
}
