package event

// NameReconnectSoon is sent when this server goes away: connect again after afterMs, then let go of this connection.
const NameReconnectSoon = "reconnectSoon"

// ReconnectSoon is the payload of reconnectSoon: connect again after AfterMs, then
// let go of this connection.
type ReconnectSoon struct {
	Reason  string `json:"reason"`
	AfterMs uint64 `json:"afterMs"`
}

// AppendJSON appends the payload.
func (r *ReconnectSoon) AppendJSON(dst []byte) []byte {
	dst = appendText(dst, `{"reason":`, r.Reason)
	dst = appendUint(dst, `,"afterMs":`, r.AfterMs)
	return append(dst, '}')
}
