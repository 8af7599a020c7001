package event

import "github.com/confab-chat/confab/proto/wire"

// Server events with the payload OnlineChange.
const (
	// NameUserOnline is sent when another user's first connection has opened.
	NameUserOnline = "userOnline"
	// NameUserOffline is sent when another user's last connection has closed.
	NameUserOffline = "userOffline"
)

var (
	userOnline  = ServerDef{Name: NameUserOnline, Class: wire.ClassPresence, Payload: serverEvent[OnlineChange]}
	userOffline = ServerDef{Name: NameUserOffline, Class: wire.ClassPresence, Payload: serverEvent[OnlineChange]}
)

// OnlineChange is the payload of userOnline and userOffline.
type OnlineChange struct {
	UserID    UserID `json:"userId"`
	Username  Text   `json:"username"`
	Timestamp Time   `json:"timestamp"`
}
