package event

import "github.com/confab-chat/confab/proto/wire"

// NamePresenceUpdate is sent when a user sets their status; your own connections get it too.
const NamePresenceUpdate = "presenceUpdate"

var presenceUpdate = ServerDef{Name: NamePresenceUpdate, Class: wire.ClassPresence, Payload: serverEvent[PresenceUpdate]}

// PresenceUpdate is the payload of presenceUpdate.
type PresenceUpdate struct {
	UserID       UserID `json:"userId"`
	Username     Text   `json:"username"`
	Status       Status `json:"status"`
	CustomStatus Text   `json:"customStatus,omitempty"`
	Timestamp    Time   `json:"timestamp"`
}
