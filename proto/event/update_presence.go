package event

// Names of the event and of its reply.
const (
	NameUpdatePresence  = "updatePresence"
	NamePresenceUpdated = "presenceUpdated"
)

// Status is what a user can say of themselves.
type Status = string

// What a user can say of themselves.
const (
	StatusOnline Status = "online"
	StatusAway   Status = "away"
	StatusBusy   Status = "busy"
)

var updatePresence = Def{
	Name: NameUpdatePresence, Reply: NamePresenceUpdated, Route: RouteUser, NeedsSync: true,
	Payload: request[UpdatePresence], Success: reply[PresenceUpdated],
}

// UpdatePresence sets what a user says of themselves.
type UpdatePresence struct {
	Status       Status `json:"status"`
	CustomStatus Text   `json:"customStatus,omitempty" check:"text=MaxCustomStatus"` // at most MaxCustomStatus code points after trimming; "" removes it
}

// PresenceUpdated answers UpdatePresence.
type PresenceUpdated struct {
	Success      True   `json:"success"`
	Status       Status `json:"status"`
	CustomStatus Text   `json:"customStatus"` // "" when there is none
	Timestamp    Time   `json:"timestamp"`
}
