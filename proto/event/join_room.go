package event

import "github.com/confab-chat/confab/proto/strictjson"

// Names of the event and of its reply.
const (
	NameJoinRoom   = "joinRoom"
	NameJoinedRoom = "joinedRoom"
)

// JoinRoom asks to join a room and, with Since, for all its messages after that seq.
type JoinRoom struct {
	RoomID RoomID  `json:"roomId"`
	Since  *uint64 `json:"since,omitempty"` // 0: everything retained; not given: only live messages
}

// Decode implements Request.
func (p *JoinRoom) Decode(data []byte) error {
	*p = JoinRoom{}
	var d decoder
	for d.begin(data); d.next(); {
		switch string(d.r.Key()) {
		case "roomId":
			p.RoomID = d.text("roomId")
		case "since":
			p.Since = d.seq("since")
		}
	}
	if err := d.end(); err != nil {
		return err
	}
	return checkRoomID(p.RoomID)
}

// Room implements RoomRequest.
func (p *JoinRoom) Room() RoomID { return p.RoomID }

// JoinedRoom answers JoinRoom.
type JoinedRoom struct {
	RoomID      RoomID  `json:"roomId"`
	Success     bool    `json:"success"`
	ActiveUsers UserIDs `json:"activeUsers"`         // at most MaxListed
	Seq         uint64  `json:"seq"`                 // of the room's last message, 0 when it has none
	Recovered   *bool   `json:"recovered,omitempty"` // with since only: nothing is missing
	Timestamp   Time    `json:"timestamp"`
}

// AppendJSON implements Reply.
func (r *JoinedRoom) AppendJSON(dst []byte) []byte {
	dst = appendText(dst, `{"roomId":`, r.RoomID)
	dst = appendList(dst, `,"success":true,"activeUsers":`, r.ActiveUsers, appendUserID)
	dst = appendUint(dst, `,"seq":`, r.Seq)
	if r.Recovered != nil {
		dst = appendBool(dst, `,"recovered":`, *r.Recovered)
	}
	dst = appendTime(dst, `,"timestamp":`, r.Timestamp)
	return append(dst, '}')
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
