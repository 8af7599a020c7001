package event

import (
	"encoding/json"

	"github.com/confab-chat/confab/proto/wire"
)

// Names of the event and of its reply.
const (
	NameSendMessage = "sendMessage"
	NameMessageSent = "messageSent"
)

// MessageType is the kind of a message's content.
type MessageType = string

// Message types.
const (
	TypeText  MessageType = "TEXT" // the default
	TypeImage MessageType = "IMAGE"
	TypeFile  MessageType = "FILE"
)

var sendMessage = Def{
	Name: NameSendMessage, Reply: NameMessageSent, Cost: wire.ActionMessage, NeedsRoom: true,
	Payload: request[SendMessage], Success: reply[MessageSent],
}

// SendMessage stores a message and delivers it to the room.
type SendMessage struct {
	Content         Text            `json:"content" check:"text=MaxContent"` // 1 to MaxContent code points after trimming, at most MaxContentBytes bytes
	RoomID          RoomID          `json:"roomId"`
	MessageType     MessageType     `json:"messageType,omitempty" default:"TypeText"` // TypeText by default
	ClientMessageID ClientMessageID `json:"clientMessageId,omitempty"`
}

// EncodedMessage is a Message in the encoding of the room service.
//
//typescript:inline Message
type EncodedMessage = json.RawMessage

// MessageSent answers SendMessage once the message is stored.
type MessageSent struct {
	Message   EncodedMessage `json:"message"`
	Success   True           `json:"success"`
	Duplicate bool           `json:"duplicate,omitempty"` // the message was stored before; Message is the stored one
}
