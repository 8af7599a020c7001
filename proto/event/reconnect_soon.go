package event

import "github.com/confab-chat/confab/proto/wire"

// NameReconnectSoon is sent when this server shuts down: open a new connection after afterMs, then close this one.
const NameReconnectSoon = "reconnectSoon"

var reconnectSoon = ServerDef{Name: NameReconnectSoon, Class: wire.ClassReliable, Payload: serverEvent[ReconnectSoon]}

// ReconnectSoon is the payload of reconnectSoon: open a new connection
// after AfterMs, then close this one.
type ReconnectSoon struct {
	Reason  string `json:"reason"`
	AfterMs uint64 `json:"afterMs"`
}
