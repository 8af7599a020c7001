package event

// Names of the event and of its reply.
const (
	NameTyping        = "typing"
	NameTypingUpdated = "typingUpdated"
)

// Typing says that the user types or has stopped.
type Typing struct {
	RoomID   RoomID `json:"roomId"`
	IsTyping bool   `json:"isTyping"`
}

// Decode implements Request.
func (p *Typing) Decode(data []byte) error {
	*p = Typing{}
	given := false
	var d decoder
	for d.begin(data); d.next(); {
		switch string(d.r.Key()) {
		case "roomId":
			p.RoomID = d.text("roomId")
		case "isTyping":
			p.IsTyping, given = d.flag("isTyping")
		}
	}
	if err := d.end(); err != nil {
		return err
	}
	if !given {
		return missing("isTyping")
	}
	return checkRoomID(p.RoomID)
}

// Room implements RoomRequest.
func (p *Typing) Room() RoomID { return p.RoomID }

// TypingUpdated answers Typing. Over the limit Success is false: nothing
// happened, and RetryAfterMs says when it would.
type TypingUpdated struct {
	Success      bool   `json:"success"`
	Timestamp    Time   `json:"timestamp"`
	RetryAfterMs uint64 `json:"retryAfterMs,omitempty"` // over the limit only
}

// AppendJSON implements Reply.
func (r *TypingUpdated) AppendJSON(dst []byte) []byte {
	dst = appendBool(dst, `{"success":`, r.Success)
	dst = appendTime(dst, `,"timestamp":`, r.Timestamp)
	if r.RetryAfterMs != 0 {
		dst = appendUint(dst, `,"retryAfterMs":`, r.RetryAfterMs)
	}
	return append(dst, '}')
}
