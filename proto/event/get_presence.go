package event

import "github.com/confab-chat/confab/proto/wire"

// Names of the event and of its reply.
const (
	NameGetPresence       = "getPresence"
	NamePresenceRetrieved = "presenceRetrieved"
)

// MaxPresence is how many users one GetPresence may ask for.
const MaxPresence = 100

var getPresence = Def{
	Name: NameGetPresence, Reply: NamePresenceRetrieved,
	Payload: request[GetPresence], Success: reply[PresenceRetrieved],
}

// GetPresence asks who is online.
type GetPresence struct {
	UserIDs []UserID `json:"userIds,omitempty" check:"max=MaxPresence"` // at most MaxPresence; absent: everyone the user may see; empty: no users
}

// PresenceRetrieved answers GetPresence.
type PresenceRetrieved struct {
	Success      True       `json:"success"`
	PresenceData []Presence `json:"presenceData"`
	Timestamp    Time       `json:"timestamp"`
}

// SeenStatus is the status that others see: the user's own, or StatusOffline.
type SeenStatus = Status

const StatusOffline SeenStatus = "offline" // has no connection

// Presence is the presence of a user. The name of a user who was never seen is empty.
type Presence struct {
	User
	Status       SeenStatus `json:"status"`
	CustomStatus Text       `json:"customStatus,omitempty"`
	IsOnline     bool       `json:"isOnline"`
	LastSeen     TimeOrNull `json:"lastSeen"` // null when never seen
}

// PresenceOf is p as clients see it.
func PresenceOf(p wire.Presence) Presence {
	return Presence{User: p.User, Status: p.Status, CustomStatus: p.Custom, IsOnline: p.Online, LastSeen: Time(p.LastSeenMs)}
}
