package event

// Names of the event and of its reply.
const (
	NameHeartbeat         = "heartbeat"
	NameHeartbeatResponse = "heartbeatResponse"
)

// Heartbeat says that the client lives.
//
// It has no payload.
type Heartbeat struct{}

// Decode implements Request. Whatever the client sends along is ignored.
func (p *Heartbeat) Decode([]byte) error { return nil }

// HeartbeatResponse answers Heartbeat.
type HeartbeatResponse struct {
	Timestamp Time   `json:"timestamp"`
	UserID    UserID `json:"userId"`
	Success   bool   `json:"success"`
}

// AppendJSON implements Reply.
func (r *HeartbeatResponse) AppendJSON(dst []byte) []byte {
	dst = appendTime(dst, `{"timestamp":`, r.Timestamp)
	dst = appendText(dst, `,"userId":`, r.UserID)
	return append(dst, `,"success":true}`...)
}
