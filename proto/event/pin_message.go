package event

import "github.com/confab-chat/confab/proto/wire"

// Names of the event and of its reply.
const (
	NamePinMessage    = "pinMessage"
	NameMessagePinned = "messagePinned"
)

var pinMessage = Def{
	Name: NamePinMessage, Reply: NameMessagePinned, Route: RouteRoom, Cost: wire.ActionMessage, NeedsRoom: true,
	Payload: request[PinMessage], Success: reply[MessagePinned],
}

// PinMessage shows a message of a room to all its members.
type PinMessage struct {
	RoomID    RoomID `json:"roomId"`
	MessageID string `json:"messageId" check:"max=maxMessageID"`
}

// MessagePinned answers PinMessage.
type MessagePinned struct {
	Success   True   `json:"success"`
	MessageID string `json:"messageId"`
	Seq       uint64 `json:"seq"`
	PinnedAt  Time   `json:"pinnedAt"`
}

// NamePinUpdate is sent when somebody has pinned a message of the room.
const NamePinUpdate = "pinUpdate"

var pinUpdate = ServerDef{Name: NamePinUpdate, Class: wire.ClassReliable, Payload: serverEvent[PinUpdate]}

// PinUpdate is the payload of pinUpdate.
type PinUpdate struct {
	RoomID    RoomID `json:"roomId"`
	UserID    UserID `json:"userId"`
	Username  Text   `json:"username"`
	MessageID string `json:"messageId"`
	Seq       uint64 `json:"seq"`
	PinnedAt  Time   `json:"pinnedAt"`
}
