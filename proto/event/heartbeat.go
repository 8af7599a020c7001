package event

// Names of the event and of its reply.
const (
	NameHeartbeat         = "heartbeat"
	NameHeartbeatResponse = "heartbeatResponse"
)

var heartbeat = Def{
	Name: NameHeartbeat, Reply: NameHeartbeatResponse,
	Payload: request[Heartbeat], Success: reply[HeartbeatResponse],
}

// Heartbeat reports that the client is alive.
//
// It has no payload.
type Heartbeat struct{}

// HeartbeatResponse answers Heartbeat.
type HeartbeatResponse struct {
	Timestamp Time   `json:"timestamp"`
	UserID    UserID `json:"userId"`
	Success   True   `json:"success"`
}
