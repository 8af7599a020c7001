package event

// Server events with the payload MemberChange.
const (
	// NameUserJoined is sent when another user's first connection has joined the room.
	NameUserJoined = "userJoined"
	// NameUserLeft is sent when another user's last connection has left the room.
	NameUserLeft = "userLeft"
)

// MemberChange is the payload of userJoined and userLeft.
type MemberChange struct {
	UserID    UserID `json:"userId"`
	Username  string `json:"username"`
	RoomID    RoomID `json:"roomId"`
	Timestamp Time   `json:"timestamp"`
}

// AppendJSON appends the payload.
func (m *MemberChange) AppendJSON(dst []byte) []byte {
	dst = appendText(dst, `{"userId":`, m.UserID)
	dst = appendText(dst, `,"username":`, m.Username)
	dst = appendText(dst, `,"roomId":`, m.RoomID)
	dst = appendTime(dst, `,"timestamp":`, m.Timestamp)
	return append(dst, '}')
}
