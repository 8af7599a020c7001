package event

// NameMessageRead is the name of the event and of its reply.
const NameMessageRead = "messageRead"

// MessageRead says that the user has read the messages of a room up to one.
type MessageRead struct {
	MessageID string `json:"messageId"`
	RoomID    RoomID `json:"roomId"`
}

// maxMessageID is more than any id of MessageID takes: 13 digits, a dash, 13 characters.
const maxMessageID = 64

// Decode implements Request. Whether there is such a message is not checked here:
// an id of which SeqOf knows nothing is NOT_FOUND and no bad request.
func (p *MessageRead) Decode(data []byte) error {
	*p = MessageRead{}
	var d decoder
	for d.begin(data); d.next(); {
		switch string(d.r.Key()) {
		case "messageId":
			p.MessageID = d.text("messageId")
			d.check(len(p.MessageID) <= maxMessageID, "messageId must be 1 to 64 characters")
		case "roomId":
			p.RoomID = d.text("roomId")
		}
	}
	if err := d.end(); err != nil {
		return err
	}
	if p.MessageID == "" {
		return missing("messageId")
	}
	return checkRoomID(p.RoomID)
}

// Room implements RoomRequest.
func (p *MessageRead) Room() RoomID { return p.RoomID }

// MessageReadReply answers MessageRead.
type MessageReadReply struct {
	Success     bool        `json:"success"`
	ReadReceipt ReadReceipt `json:"readReceipt"`
}

// ReadReceipt says who has read which message when.
type ReadReceipt struct {
	MessageID string `json:"messageId"`
	UserID    UserID `json:"userId"`
	Username  string `json:"username"`
	Seq       uint64 `json:"seq"`
	ReadAt    Time   `json:"readAt"`
}

// AppendJSON implements Reply.
func (r *MessageReadReply) AppendJSON(dst []byte) []byte {
	dst = appendText(dst, `{"success":true,"readReceipt":{"messageId":`, r.ReadReceipt.MessageID)
	dst = appendText(dst, `,"userId":`, r.ReadReceipt.UserID)
	dst = appendText(dst, `,"username":`, r.ReadReceipt.Username)
	dst = appendUint(dst, `,"seq":`, r.ReadReceipt.Seq)
	dst = appendTime(dst, `,"readAt":`, r.ReadReceipt.ReadAt)
	return append(dst, `}}`...)
}
