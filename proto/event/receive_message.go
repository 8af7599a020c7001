package event

// NameReceiveMessage is sent when a message was accepted in a room that this connection has joined; you get your own too.
const NameReceiveMessage = "receiveMessage"

// Message is a stored message as clients see it.
//
// Room encodes it once; the JSON is kept in the log and goes to every client as it is.
type Message struct {
	ID          string      `json:"id"` // opaque
	Content     string      `json:"content"`
	Author      Author      `json:"author"`
	RoomID      RoomID      `json:"roomId"`
	MessageType MessageType `json:"messageType"`
	Seq         uint64      `json:"seq"` // the message's place in its room: 1, 2, 3 ... without holes
	Timestamp   Time        `json:"timestamp"`
	CreatedAt   Time        `json:"createdAt"`
	UpdatedAt   Time        `json:"updatedAt"`
}

// AppendJSON appends the message. It does not allocate when dst has room.
func (m *Message) AppendJSON(dst []byte) []byte {
	dst = appendText(dst, `{"id":`, m.ID)
	dst = appendText(dst, `,"content":`, m.Content)
	dst = appendText(dst, `,"author":{"id":`, m.Author.ID)
	dst = appendText(dst, `,"username":`, m.Author.Name)
	dst = appendText(dst, `},"roomId":`, m.RoomID)
	dst = appendText(dst, `,"messageType":`, m.MessageType)
	dst = appendUint(dst, `,"seq":`, m.Seq)
	dst = appendTime(dst, `,"timestamp":`, m.Timestamp)
	if m.CreatedAt == m.Timestamp && m.UpdatedAt == m.Timestamp && m.Timestamp != 0 { // as all are today
		at := dst[len(dst)-len(`"2026-01-02T03:04:05.678Z"`):]
		dst = append(append(dst, `,"createdAt":`...), at...)
		dst = append(append(dst, `,"updatedAt":`...), at...)
		return append(dst, '}')
	}
	dst = appendTime(dst, `,"createdAt":`, m.CreatedAt)
	dst = appendTime(dst, `,"updatedAt":`, m.UpdatedAt)
	return append(dst, '}')
}
