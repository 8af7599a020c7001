package event

import "github.com/confab-chat/confab/proto/wire"

// NameGap is sent when messages cannot be delivered any more: they are older than what is retained.
const NameGap = "gap"

var gap = ServerDef{Name: NameGap, Class: wire.ClassReliable, Payload: serverEvent[Gap]}

// Gap is the payload of gap: the missing seqs, both inclusive.
type Gap struct {
	RoomID RoomID `json:"roomId"`
	From   uint64 `json:"from"`
	To     uint64 `json:"to"`
}
