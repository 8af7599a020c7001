package event

// Server events with the payload OnlineChange.
const (
	// NameUserOnline is sent when another user's first connection has opened.
	NameUserOnline = "userOnline"
	// NameUserOffline is sent when another user's last connection has closed.
	NameUserOffline = "userOffline"
)

// OnlineChange is the payload of userOnline and userOffline.
type OnlineChange struct {
	UserID    UserID `json:"userId"`
	Username  string `json:"username"`
	Timestamp Time   `json:"timestamp"`
}

// AppendJSON appends the payload.
func (o *OnlineChange) AppendJSON(dst []byte) []byte {
	dst = appendText(dst, `{"userId":`, o.UserID)
	dst = appendText(dst, `,"username":`, o.Username)
	dst = appendTime(dst, `,"timestamp":`, o.Timestamp)
	return append(dst, '}')
}
