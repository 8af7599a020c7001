package event

// NameMessageReadUpdate is sent when somebody has read a message; rooms of up to 200 members, coalesced.
const NameMessageReadUpdate = "messageReadUpdate"

// MessageReadUpdate is the payload of messageReadUpdate.
type MessageReadUpdate struct {
	RoomID    RoomID `json:"roomId"`
	UserID    UserID `json:"userId"`
	Username  string `json:"username"`
	MessageID string `json:"messageId"`
	Seq       uint64 `json:"seq"`
	Timestamp Time   `json:"timestamp"`
}

// AppendJSON appends the payload.
func (m *MessageReadUpdate) AppendJSON(dst []byte) []byte {
	dst = appendText(dst, `{"roomId":`, m.RoomID)
	dst = appendText(dst, `,"userId":`, m.UserID)
	dst = appendText(dst, `,"username":`, m.Username)
	dst = appendText(dst, `,"messageId":`, m.MessageID)
	dst = appendUint(dst, `,"seq":`, m.Seq)
	dst = appendTime(dst, `,"timestamp":`, m.Timestamp)
	return append(dst, '}')
}
