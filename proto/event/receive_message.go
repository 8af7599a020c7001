package event

import "github.com/confab-chat/confab/proto/wire"

// NameReceiveMessage is sent when a message was accepted in a room that this connection has joined; you get your own too.
const NameReceiveMessage = "receiveMessage"

var receiveMessage = ServerDef{Name: NameReceiveMessage, Class: wire.ClassReliable, Payload: serverEvent[Message]}

// Message is a stored message as clients see it.
//
// Room encodes it once; the JSON is kept in the log and goes to every client as it is.
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
