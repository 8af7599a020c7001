package event

import "github.com/confab-chat/confab/proto/wire"

// NameReceiveMessage is sent when a message was stored in a room that this connection has joined, your own messages included.
const NameReceiveMessage = "receiveMessage"

var receiveMessage = ServerDef{Name: NameReceiveMessage, Class: wire.ClassReliable, Payload: serverEvent[Message]}

// Message is a stored message as clients see it.
//
// The room service encodes it once: the log stores that JSON, and every client gets it unchanged.
type Message struct {
	ID          string      `json:"id"` // opaque
	Content     Text        `json:"content"`
	Author      Author      `json:"author"`
	RoomID      RoomID      `json:"roomId"`
	MessageType MessageType `json:"messageType"`
	Seq         uint64      `json:"seq"` // the message's place in its room: 1, 2, 3 ... without holes
	Timestamp   Time        `json:"timestamp"`
	CreatedAt   Time        `json:"createdAt"`
	UpdatedAt   Time        `json:"updatedAt"`
}
