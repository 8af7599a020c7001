package event

import (
	"github.com/confab-chat/confab/proto/strictjson"

	"github.com/confab-chat/confab/proto/wire"
)

// Names of the event and of its reply.
const (
	NameJoinRoom   = "joinRoom"
	NameJoinedRoom = "joinedRoom"
)

var joinRoom = Def{
	Name: NameJoinRoom, Reply: NameJoinedRoom, Cost: wire.ActionJoin,
	Payload: request[JoinRoom], Success: reply[JoinedRoom],
}

// JoinRoom asks to join a room and, with Since, for all its messages after that seq.
type JoinRoom struct {
	RoomID RoomID  `json:"roomId"`
	Since  *uint64 `json:"since,omitempty"` // 0: everything retained; not given: only live messages
}

// JoinedRoom answers JoinRoom.
type JoinedRoom struct {
	RoomID      RoomID  `json:"roomId"`
	Success     True    `json:"success"`
	ActiveUsers UserIDs `json:"activeUsers"`         // at most MaxListed
	Seq         uint64  `json:"seq"`                 // of the room's last message, 0 when it has none
	Recovered   *bool   `json:"recovered,omitempty"` // with since only: nothing is missing
	Timestamp   Time    `json:"timestamp"`
}

// UserIDs are users of whom clients see the ids only: ["u1","u2"].
//
//typescript:inline UserID[]
type UserIDs []User

// MarshalJSON implements json.Marshaler.
func (u UserIDs) MarshalJSON() ([]byte, error) {
	return appendList(nil, "", u, appendUserID), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (u *UserIDs) UnmarshalJSON(b []byte) error {
	*u = nil
	var r strictjson.Reader
	r.Reset(b)
	for r.BeginArray(); r.NextElement(); {
		*u = append(*u, User{ID: r.Text()})
	}
	return r.End()
}
