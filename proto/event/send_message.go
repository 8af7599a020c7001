package event

import (
	"encoding/json"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/strictjson"
)

// Names of the event and of its reply.
const (
	NameSendMessage = "sendMessage"
	NameMessageSent = "messageSent"
)

// MessageType says what the content of a message is.
type MessageType = string

// Message types.
const (
	TypeText  MessageType = "TEXT" // the default
	TypeImage MessageType = "IMAGE"
	TypeFile  MessageType = "FILE"
)

// SendMessage asks to store a message and to deliver it to the room.
type SendMessage struct {
	Content         string          `json:"content"` // 1 to MaxContent code points after trimming, at most MaxContentBytes bytes
	RoomID          RoomID          `json:"roomId"`
	MessageType     MessageType     `json:"messageType,omitempty"` // TypeText when not given
	ClientMessageID ClientMessageID `json:"clientMessageId,omitempty"`
}

// Decode implements Request. Content comes out trimmed, MessageType set.
func (p *SendMessage) Decode(data []byte) error {
	*p = SendMessage{}
	var d decoder
	for d.begin(data); d.next(); {
		switch string(d.r.Key()) {
		case "content":
			p.Content = d.text("content")
		case "roomId":
			p.RoomID = d.text("roomId")
		case "messageType":
			p.MessageType = d.messageType()
		case "clientMessageId":
			if d.is("clientMessageId", strictjson.String) {
				p.ClientMessageID = d.r.Text()
				d.check(ValidClientID(p.ClientMessageID), "clientMessageId must be 1 to 64 visible ASCII characters")
			}
		}
	}
	if err := d.end(); err != nil {
		return err
	}
	if p.MessageType == "" {
		p.MessageType = TypeText
	}
	if err := checkRoomID(p.RoomID); err != nil {
		return err
	}
	p.Content = trim(p.Content)
	if !visible(p.Content) {
		return code.New(code.BadRequest, "content is empty: 1 to %d characters are allowed", MaxContent)
	}
	return checkText("content", p.Content, MaxContent)
}

// Room implements RoomRequest.
func (p *SendMessage) Room() RoomID { return p.RoomID }

func (d *decoder) messageType() string {
	if !d.is("messageType", strictjson.String) {
		return ""
	}
	switch string(d.r.TextBytes()) {
	case TypeText:
		return TypeText
	case TypeImage:
		return TypeImage
	case TypeFile:
		return TypeFile
	}
	d.check(false, "messageType must be TEXT, IMAGE or FILE")
	return ""
}

// EncodedMessage is a Message as room has encoded it.
//
//typescript:inline Message
type EncodedMessage = json.RawMessage

// MessageSent answers SendMessage once the message is stored.
type MessageSent struct {
	Message   EncodedMessage `json:"message"`
	Success   bool           `json:"success"`
	Duplicate bool           `json:"duplicate,omitempty"` // it had been stored before: Message is that one
}

// AppendJSON implements Reply.
func (r *MessageSent) AppendJSON(dst []byte) []byte {
	dst = append(append(dst, `{"message":`...), r.Message...)
	dst = append(dst, `,"success":true`...)
	if r.Duplicate {
		dst = append(dst, `,"duplicate":true`...)
	}
	return append(dst, '}')
}
