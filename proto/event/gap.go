package event

// NameGap is sent when messages cannot be delivered any more: they are older than what is retained.
const NameGap = "gap"

// Gap is the payload of gap: the missing seqs, both inclusive.
type Gap struct {
	RoomID RoomID `json:"roomId"`
	From   uint64 `json:"from"`
	To     uint64 `json:"to"`
}

// AppendJSON appends the payload.
func (g *Gap) AppendJSON(dst []byte) []byte {
	dst = appendText(dst, `{"roomId":`, g.RoomID)
	dst = appendUint(dst, `,"from":`, g.From)
	dst = appendUint(dst, `,"to":`, g.To)
	return append(dst, '}')
}
