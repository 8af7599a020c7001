package event

import (
	"encoding/json"
	"fmt"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/wire"
)

// Names of the event and of its reply.
const (
	NameGetHistory = "getHistory"
	NameHistory    = "history"
)

// Limits of GetHistory.
const (
	DefaultHistory = 50
	MaxHistory     = 200 // higher limits are clamped
)

var getHistory = Def{
	Name: NameGetHistory, Reply: NameHistory, Route: RouteRoom, NeedsRoom: true,
	Payload: request[GetHistory], Success: reply[History],
}

// GetHistory requests messages of a room: those before or after a seq (exclusive), or
// the newest.
type GetHistory struct {
	RoomID RoomID  `json:"roomId"`
	Before *uint64 `json:"before,omitempty"`
	After  *uint64 `json:"after,omitempty"`
	Limit  int     `json:"limit,omitempty" check:"min=1,clamp=MaxHistory" default:"DefaultHistory"` // at least 1; DefaultHistory by default; higher values are clamped to MaxHistory
}

// Validate implements validator.
func (p *GetHistory) Validate() error {
	if p.Before != nil && p.After != nil {
		return code.New(code.BadRequest, "before and after exclude each other")
	}
	return nil
}

// Query returns the request for the owner of the room.
func (p *GetHistory) Query() wire.History {
	q := wire.History{Room: p.RoomID, Limit: uint64(p.Limit)}
	if p.After != nil {
		q.HasAfter, q.After = true, *p.After
	}
	if p.Before != nil {
		q.Before = max(*p.Before, 1) // 0 means "not given" there; nothing is before 1 either
	}
	return q
}

// History answers GetHistory.
type History struct {
	RoomID   RoomID   `json:"roomId"`
	Messages Messages `json:"messages"` // ascending by seq
	HasMore  bool     `json:"hasMore"`  // more messages exist in the requested direction
	Success  True     `json:"success"`
}

// Messages are messages in the encoding of the room service.
//
//typescript:inline Message[]
type Messages []wire.Item

func appendItem(dst []byte, m *wire.Item) []byte { return append(dst, m.JSON...) }

// MarshalJSON implements json.Marshaler.
func (m Messages) MarshalJSON() ([]byte, error) { return appendList(nil, "", m, appendItem), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (m *Messages) UnmarshalJSON(b []byte) error {
	var raw []json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return fmt.Errorf("messages: %w", err)
	}
	*m = make(Messages, len(raw))
	for i := range raw {
		var head struct{ Seq uint64 }
		if err := json.Unmarshal(raw[i], &head); err != nil {
			return fmt.Errorf("message: %w", err)
		}
		(*m)[i] = wire.Item{Seq: head.Seq, JSON: raw[i]}
	}
	return nil
}
