package event

// NameUserTyping is sent when another user types or has stopped; it ends by itself 5 s after the last typing, on send, on leave.
const NameUserTyping = "userTyping"

// UserTyping is the payload of userTyping.
type UserTyping struct {
	UserID    UserID `json:"userId"`
	Username  string `json:"username"`
	RoomID    RoomID `json:"roomId"`
	IsTyping  bool   `json:"isTyping"`
	Timestamp Time   `json:"timestamp"`
}

// AppendJSON appends the payload.
func (u *UserTyping) AppendJSON(dst []byte) []byte {
	dst = appendText(dst, `{"userId":`, u.UserID)
	dst = appendText(dst, `,"username":`, u.Username)
	dst = appendText(dst, `,"roomId":`, u.RoomID)
	dst = appendBool(dst, `,"isTyping":`, u.IsTyping)
	dst = appendTime(dst, `,"timestamp":`, u.Timestamp)
	return append(dst, '}')
}
