package event

import "github.com/confab-chat/confab/proto/wire"

// NamePing is sent every heartbeat interval (30 s); answering with heartbeat is optional.
const NamePing = "ping"

var ping = ServerDef{Name: NamePing, Class: wire.ClassReliable, Payload: serverEvent[Ping]}

// Ping is the payload of ping.
type Ping struct {
	Timestamp Time `json:"timestamp"`
}
