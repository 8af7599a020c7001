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

// Typing says that the user types or has stopped.
type Typing struct {
	RoomID   RoomID `json:"roomId"`
	IsTyping bool   `json:"isTyping"`
}

// TypingUpdated answers Typing. Over the limit Success is false: nothing
// happened, and RetryAfterMs says when it would.
type TypingUpdated struct {
	Success      bool   `json:"success"`
	Timestamp    Time   `json:"timestamp"`
	RetryAfterMs uint64 `json:"retryAfterMs,omitempty"` // over the limit only
}
