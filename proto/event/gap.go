package event

import "github.com/confab-chat/confab/proto/wire"

// NameGap is sent when messages cannot be delivered because they are no longer retained.
const NameGap = "gap"

var gap = ServerDef{Name: NameGap, Class: wire.ClassReliable, Payload: serverEvent[Gap]}

// Gap is the payload of gap: the range of missing seqs, inclusive.
type Gap struct {
	RoomID RoomID `json:"roomId"`
	From   uint64 `json:"from"`
	To     uint64 `json:"to"`
}
