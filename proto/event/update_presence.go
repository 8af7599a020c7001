package event

// Names of the event and of its reply.
const (
	NameUpdatePresence  = "updatePresence"
	NamePresenceUpdated = "presenceUpdated"
)

// Status is the status that a user sets.
type Status = string

// Statuses that a user can set.
const (
	StatusOnline Status = "online"
	StatusAway   Status = "away"
	StatusBusy   Status = "busy"
)

var updatePresence = Def{
	Name: NameUpdatePresence, Reply: NamePresenceUpdated, Route: RouteUser, NeedsSync: true,
	Payload: request[UpdatePresence], Success: reply[PresenceUpdated],
}

// UpdatePresence sets the user's own status.
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
