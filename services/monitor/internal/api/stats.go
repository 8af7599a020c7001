package api

import (
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
)

// Stats is the body of /websocket/stats. Nil fields are unknown.
type Stats struct {
	Timestamp    event.Time         `json:"timestamp"`
	Connections  Connections        `json:"connections"`
	Rooms        Rooms              `json:"rooms"`
	Messages     Messages           `json:"messages"`
	RateLimiting RateLimiting       `json:"rateLimiting"`
	Instances    []Instance         `json:"instances"`
	Rates        Rates              `json:"rates"`
	Latency      map[string]Latency `json:"latency"`
	Complete     bool               `json:"complete"`
	Missing      []string           `json:"missing"`
	Notes        []string           `json:"notes"`
}

// Connections counts client connections: current ones, and all since the processes
// started. Those that were lost with an edge are no longer current, and are disconnections.
type Connections struct {
	Current             *int    `json:"current"`
	Total               *uint64 `json:"total"`
	TotalDisconnections *uint64 `json:"totalDisconnections"`
}

// Rooms counts rooms, and lists a page of them.
type Rooms struct {
	Active       *int    `json:"active"`
	TotalCreated *uint64 `json:"totalCreated"`
	Details      []Room  `json:"details"`
	NextCursor   string  `json:"nextCursor,omitempty"` // ?cursor= of the next page
}

// Room is one room in the list.
type Room struct {
	RoomID       string     `json:"roomId"`
	UserCount    int        `json:"userCount"`
	TypingUsers  int        `json:"typingUsers"`
	CreatedAt    event.Time `json:"createdAt"`
	LastActivity event.Time `json:"lastActivity"`
}

// Messages counts stored messages.
type Messages struct {
	TotalProcessed *uint64 `json:"totalProcessed"`
}

// RateLimiting counts requests refused by a rate limit.
type RateLimiting struct {
	Violations *uint64 `json:"violations"`
}

// Instance is one instance of a service and its load.
type Instance struct {
	Service
	StartedAt      event.Time      `json:"startedAt"`
	Note           string          `json:"note,omitempty"`
	LostHeartbeats uint64          `json:"lostHeartbeats"`
	Edge           *wire.EdgeLoad  `json:"edge,omitempty"`
	Room           *wire.RoomLoad  `json:"room,omitempty"`
	Limit          *wire.LimitLoad `json:"limit,omitempty"`
}

// Rates are events per second, averaged over ten seconds.
type Rates struct {
	Messages       *float64 `json:"messages"`
	Deliveries     *float64 `json:"deliveries"`
	Connections    *float64 `json:"connections"`
	Disconnections *float64 `json:"disconnections"`
	Violations     *float64 `json:"violations"`
	Permits        *float64 `json:"permits"`
}

// Latency summarizes the durations of the last minute. The quantiles are upper bounds
// in milliseconds, at most 25 % too high.
type Latency struct {
	Count uint64  `json:"count"`
	P50Ms float64 `json:"p50Ms"`
	P95Ms float64 `json:"p95Ms"`
	P99Ms float64 `json:"p99Ms"`
}
