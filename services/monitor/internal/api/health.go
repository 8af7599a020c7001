// Package api holds the JSON bodies of /websocket/health and /websocket/stats.
// Clients depend on the field names: fields may be added, never renamed. A nil field
// becomes null, which means unknown: no instance has reported it.
package api

import "github.com/confab-chat/confab/proto/event"

// State is the health of the whole cluster.
type State string

const (
	Healthy   State = "healthy"
	Degraded  State = "degraded"  // an instance is missing, silent or degraded
	Unhealthy State = "unhealthy" // no live edge or no live room instance: chat does not work
)

// Health is the body of /websocket/health. Nil fields are unknown.
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

// WebSocket holds settings of the edges and counts of users and rooms.
type WebSocket struct {
	Namespace        *string `json:"namespace"`
	CORSOrigin       *string `json:"corsOrigin"`
	ConnectedUsers   *int    `json:"connectedUsers"`
	ActiveRooms      *int    `json:"activeRooms"`
	TotalTypingUsers *int    `json:"totalTypingUsers"`
}

// Features reports which optional features the edges' settings enable.
type Features struct {
	DetailedLogging *bool `json:"detailedLogging"`
	Metrics         *bool `json:"metrics"`
	Heartbeat       *bool `json:"heartbeat"`
}

// RateLimits are the limits in force for each user; 0 means unlimited.
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

// Status is the state that an instance reports of itself, or, once its heartbeats stop,
// how long it has been silent.
type Status string

const (
	StatusStarting Status = "starting"
	StatusOK       Status = "ok"
	StatusDegraded Status = "degraded"
	StatusDraining Status = "draining"
	StatusStale    Status = "stale"   // silent for more than fleet.StaleAfter
	StatusMissing  Status = "missing" // silent for more than fleet.MissingAfter
)

// Silent reports whether the instance's last report may be out of date.
func (s Status) Silent() bool { return s == StatusStale || s == StatusMissing }
