// Package api holds the JSON bodies of /websocket/health and /websocket/stats.
// Their names are the original's and promised to its clients (fields may be
// added, never renamed); a nil field is null: nobody has told it.
package api

import "github.com/confab-chat/confab/proto/event"

// State is the cluster's health in one word.
type State string

const (
	Healthy   State = "healthy"
	Degraded  State = "degraded"  // something is missing, silent or not well
	Unhealthy State = "unhealthy" // no live edge or no room: nobody can chat
)

// Health is the body of /websocket/health. Nil fields are not known.
type Health struct {
	Status     State      `json:"status"`
	Timestamp  event.Time `json:"timestamp"`
	WebSocket  WebSocket  `json:"websocket"`
	Features   Features   `json:"features"`
	RateLimits RateLimits `json:"rateLimits"`
	Services   []Service  `json:"services"`
	Complete   bool       `json:"complete"`
	Notes      []string   `json:"notes"`
}

// WebSocket is how the edges are set and what goes on.
type WebSocket struct {
	Namespace        *string `json:"namespace"`
	CORSOrigin       *string `json:"corsOrigin"`
	ConnectedUsers   *int    `json:"connectedUsers"`
	ActiveRooms      *int    `json:"activeRooms"`
	TotalTypingUsers *int    `json:"totalTypingUsers"`
}

// Features are switched on or off by the edges' settings.
type Features struct {
	DetailedLogging *bool `json:"detailedLogging"`
	Metrics         *bool `json:"metrics"`
	Heartbeat       *bool `json:"heartbeat"`
}

// RateLimits are those in force per user; 0 = unlimited.
type RateLimits struct {
	WindowMs                 *int64 `json:"windowMs"`
	MaxMessagesPerWindow     *int   `json:"maxMessagesPerWindow"`
	MaxJoinsPerWindow        *int   `json:"maxJoinsPerWindow"`
	MaxTypingEventsPerWindow *int   `json:"maxTypingEventsPerWindow"`
}

// Service is one instance of a service.
type Service struct {
	Service  string     `json:"service"`
	Instance string     `json:"instance"`
	Status   Status     `json:"status"`
	LastSeen event.Time `json:"lastSeen"`
	Version  string     `json:"version"`
}

// Status is how an instance is seen from here: what it says of itself while it
// is heard, else how silent it is.
type Status string

const (
	StatusStarting Status = "starting"
	StatusOK       Status = "ok"
	StatusDegraded Status = "degraded"
	StatusDraining Status = "draining"
	StatusStale    Status = "stale"   // silent for more than fleet.StaleAfter
	StatusMissing  Status = "missing" // silent for more than fleet.MissingAfter
)

// Silent tells whether what the instance said last may not hold any more.
func (s Status) Silent() bool { return s == StatusStale || s == StatusMissing }
