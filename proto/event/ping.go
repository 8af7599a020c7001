package event

// NamePing is sent every heartbeat interval (30 s); answer heartbeat if you like.
const NamePing = "ping"

// Ping is the payload of ping.
type Ping struct {
	Timestamp Time `json:"timestamp"`
}

// AppendJSON appends the payload.
func (p *Ping) AppendJSON(dst []byte) []byte {
	return append(appendTime(dst, `{"timestamp":`, p.Timestamp), '}')
}
