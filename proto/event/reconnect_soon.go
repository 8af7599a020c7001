package event

import "github.com/confab-chat/confab/proto/wire"

// NameReconnectSoon is sent when this server goes away: connect again after afterMs, then let go of this connection.
const NameReconnectSoon = "reconnectSoon"

var reconnectSoon = ServerDef{Name: NameReconnectSoon, Class: wire.ClassReliable, Payload: serverEvent[ReconnectSoon]}

// ReconnectSoon is the payload of reconnectSoon: connect again after AfterMs, then
// let go of this connection.
type ReconnectSoon struct {
	Reason  string `json:"reason"`
	AfterMs uint64 `json:"afterMs"`
}
