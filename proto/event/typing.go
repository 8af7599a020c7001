package event

import "github.com/confab-chat/confab/proto/wire"

// Names of the event and of its reply.
const (
	NameTyping        = "typing"
	NameTypingUpdated = "typingUpdated"
)

var typing = Def{
	Name: NameTyping, Reply: NameTypingUpdated, Cost: wire.ActionTyping, NeedsRoom: true,
	Payload: request[Typing], Success: reply[TypingUpdated],
}

// Typing reports that the user started or stopped typing.
type Typing struct {
	RoomID   RoomID `json:"roomId"`
	IsTyping bool   `json:"isTyping"`
}

// TypingUpdated answers Typing. Over the limit Success is false,
// nothing else happens, and RetryAfterMs says how long to wait.
type TypingUpdated struct {
	Success      bool   `json:"success"`
	Timestamp    Time   `json:"timestamp"`
	RetryAfterMs uint64 `json:"retryAfterMs,omitempty"` // over the limit only
}
