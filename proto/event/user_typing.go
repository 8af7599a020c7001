package event

import "github.com/confab-chat/confab/proto/wire"

// NameUserTyping is sent when another user starts or stops typing; it stops 5 s after the last typing, on send and on leave.
const NameUserTyping = "userTyping"

var userTyping = ServerDef{Name: NameUserTyping, Class: wire.ClassTyping, Payload: serverEvent[UserTyping]}

// UserTyping is the payload of userTyping.
type UserTyping struct {
	UserID    UserID `json:"userId"`
	Username  Text   `json:"username"`
	RoomID    RoomID `json:"roomId"`
	IsTyping  bool   `json:"isTyping"`
	Timestamp Time   `json:"timestamp"`
}
