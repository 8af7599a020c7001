package event

// NamePing is the server event of the application-level heartbeat.
const NamePing = "ping"

// Ping is the payload of ping.
type Ping struct {
	Timestamp Time `json:"timestamp"`
}

// AppendJSON appends the payload.
func (p *Ping) AppendJSON(dst []byte) []byte {
	return append(appendTime(dst, `{"timestamp":`, p.Timestamp), '}')
}
