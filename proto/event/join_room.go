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

// JoinRoom joins a room and, with Since, requests all messages after that seq.
type JoinRoom struct {
	RoomID RoomID  `json:"roomId"`
	Since  *uint64 `json:"since,omitempty"` // 0: all retained messages; absent: live messages only
}

// JoinedRoom answers JoinRoom.
type JoinedRoom struct {
	RoomID      RoomID  `json:"roomId"`
	Success     True    `json:"success"`
	ActiveUsers UserIDs `json:"activeUsers"`         // at most MaxListed
	Seq         uint64  `json:"seq"`                 // of the room's last message, 0 when it has none
	Recovered   *bool   `json:"recovered,omitempty"` // with since only: true if no message is missing
	Timestamp   Time    `json:"timestamp"`
}

// UserIDs are users of which clients see only the ids: ["u1","u2"].
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
