package wire

// State is the state that an instance reports of itself.
type State string

const (
	StateStarting State = "starting"
	StateOK       State = "ok"
	StateDegraded State = "degraded" // serves, with a fallback or without NATS for a while
	StateDraining State = "draining"
	StateStopped  State = "stopped" // the last heartbeat of a graceful stop
)

// Services of the suite, as named in heartbeats and subjects.
const (
	ServiceEdge      = "edge"
	ServiceRoom      = "room"
	ServiceRateLimit = "ratelimit"
	ServiceMonitor   = "monitor"
)

// Heartbeat is published by every instance each second on subject.Heartbeat, as JSON:
// it is small, and people read it too. The newest wins; a jump in Seq distinguishes lost
// heartbeats from a slow process.
type Heartbeat struct {
	Service   string `json:"service"`
	Instance  string `json:"instance"`
	Gen       uint64 `json:"gen"` // new at every start
	Version   string `json:"version"`
	Host      string `json:"host,omitempty"`
	StartedMs int64  `json:"startedMs"`
	Seq       uint64 `json:"seq"`
	State     State  `json:"state"`
	Note      string `json:"note,omitempty"` // why it is degraded; for people

	// EdgeGen is set by edges of earlier releases, which registered their users again under a
	// later generation than Gen after an outage.
	EdgeGen uint64 `json:"edgeGen,omitempty"`

	Edge  *EdgeLoad  `json:"edge,omitempty"`
	Room  *RoomLoad  `json:"room,omitempty"`
	Limit *LimitLoad `json:"limit,omitempty"`
}

// EdgeLoad is what an edge holds now.
type EdgeLoad struct {
	Connections int  `json:"connections"`
	Users       int  `json:"users"` // distinct on this edge
	Rooms       int  `json:"rooms"` // held on this edge
	Memberships int  `json:"memberships"`
	QueuedBytes int  `json:"queuedBytes"` // outbound, all connections
	Fallback    bool `json:"fallback"`    // permits are decided locally
}

// RoomLoad is what a room instance owns now.
type RoomLoad struct {
	Shards []int `json:"shards"` // owned, ascending
	Rooms  int   `json:"rooms"`  // with members
	Users  int   `json:"users"`  // online, of the owned user shards
	Typing int   `json:"typing"`

	// Failing is how many of the shards are in a log stream that stores nothing.
	Failing int `json:"failing,omitempty"`
}

// LimitLoad is what a ratelimit instance owns now.
type LimitLoad struct {
	Shards []int `json:"shards"`
	Keys   int   `json:"keys"`
}

// Telemetry is published by every instance each second on subject.Telemetry, as JSON.
// Counters and latencies count since the start of the process (Gen), so that the difference
// of two reports is correct even if one between them was lost. The first telemetry of a
// process has Seq 1.
type Telemetry struct {
	Service  string               `json:"service"`
	Instance string               `json:"instance"`
	Gen      uint64               `json:"gen"`
	Seq      uint64               `json:"seq"`
	Counters map[string]uint64    `json:"counters,omitempty"`
	Latency  map[string]Histogram `json:"latency,omitempty"`
	Rooms    []RoomDetail         `json:"rooms,omitempty"` // room: most active first, at most MaxDetails
	Config   *EdgeConfig          `json:"config,omitempty"`
	Limits   *LimitConfig         `json:"limits,omitempty"`
}

// MaxDetails is how many rooms an instance lists in its telemetry: 1 000 are
// about 120 KB, well under NATS's 1 MB a message.
const MaxDetails = 1000

// Names of counters and latencies that the monitor adds up.
const (
	CountConnections    = "connections"    // edge: opened
	CountDisconnections = "disconnections" // edge: closed
	CountViolations     = "violations"     // edge: refused by a limit
	CountDelivered      = "delivered"      // edge: events sent to connections
	CountSlowConsumers  = "slowConsumers"  // edge: closed 4000
	CountGaps           = "gaps"           // edge: repaired gaps
	CountFallback       = "fallback"       // edge: permits decided locally
	CountMessages       = "messages"       // room: stored
	CountRoomsCreated   = "roomsCreated"   // room
	CountPermits        = "permits"        // edge: all permits; ratelimit: those decided there
	CountDenials        = "denials"        // ratelimit: refused
	LatencyAccept       = "accept"         // edge: sendMessage received to reply
	LatencyAppend       = "append"         // room: append to acknowledgement
	LatencyPermit       = "permit"         // edge: permit asked to answer
)

// RoomDetail is one room in /websocket/stats.
type RoomDetail struct {
	RoomID         string `json:"roomId"`
	UserCount      int    `json:"userCount"`
	TypingUsers    int    `json:"typingUsers"`
	CreatedMs      int64  `json:"createdMs"`
	LastActivityMs int64  `json:"lastActivityMs"`
}

// EdgeConfig is what health shows of the edges' settings.
type EdgeConfig struct {
	Namespace       string `json:"namespace"`
	CORSOrigin      string `json:"corsOrigin"`
	DetailedLogging bool   `json:"detailedLogging"`
	Metrics         bool   `json:"metrics"`
	Heartbeat       bool   `json:"heartbeat"`
}

// LimitConfig is what health shows of the limits in force; 0 = unlimited.
type LimitConfig struct {
	WindowMs int64 `json:"windowMs"`
	Messages int   `json:"messages"`
	Joins    int   `json:"joins"`
	Typing   int   `json:"typing"`
}
