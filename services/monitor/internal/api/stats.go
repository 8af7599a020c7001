package api

import (
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
)

// Stats is the body of /websocket/stats. Nil fields are not known.
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

// Connections counts client connections: now, and since the processes started.
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

// RateLimiting counts what was refused for a limit.
type RateLimiting struct {
	Violations *uint64 `json:"violations"`
}

// Instance is one instance of a service with what it holds.
type Instance struct {
	Service
	StartedAt      event.Time      `json:"startedAt"`
	Note           string          `json:"note,omitempty"`
	LostHeartbeats uint64          `json:"lostHeartbeats"`
	Edge           *wire.EdgeLoad  `json:"edge,omitempty"`
	Room           *wire.RoomLoad  `json:"room,omitempty"`
	Limit          *wire.LimitLoad `json:"limit,omitempty"`
}

// Rates are events a second, averaged over the last minute.
type Rates struct {
	Messages       *float64 `json:"messages"`
	Deliveries     *float64 `json:"deliveries"`
	Connections    *float64 `json:"connections"`
	Disconnections *float64 `json:"disconnections"`
	Violations     *float64 `json:"violations"`
	Permits        *float64 `json:"permits"`
}

// Latency sums up the durations of the last minute; the quantiles are upper
// bounds within 19 %, in milliseconds.
type Latency struct {
	Count uint64  `json:"count"`
	P50Ms float64 `json:"p50Ms"`
	P95Ms float64 `json:"p95Ms"`
	P99Ms float64 `json:"p99Ms"`
}
