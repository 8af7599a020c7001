package event

// NameMessageRead is the name of the event and of its reply.
const NameMessageRead = "messageRead"

var messageRead = Def{
	Name: NameMessageRead, Reply: NameMessageRead, Route: RouteRoom, NeedsRoom: true,
	Payload: request[MessageRead], Success: reply[MessageReadReply],
}

// MessageRead marks the messages of a room as read, up to the given one.
type MessageRead struct {
	MessageID string `json:"messageId" check:"max=maxMessageID"`
	RoomID    RoomID `json:"roomId"`
}

// maxMessageID is more than any id of MessageID takes: 13 digits, a dash, 13 characters.
const maxMessageID = 64

// MessageReadReply answers MessageRead.
type MessageReadReply struct {
	Success     True        `json:"success"`
	ReadReceipt ReadReceipt `json:"readReceipt"`
}

// ReadReceipt records who read which message, and when.
type ReadReceipt struct {
	MessageID string `json:"messageId"`
	UserID    UserID `json:"userId"`
	Username  Text   `json:"username"`
	Seq       uint64 `json:"seq"`
	ReadAt    Time   `json:"readAt"`
}
