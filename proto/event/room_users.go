package event

// NameRoomUsers is sent after joining; in rooms of more than 200 members also while the number changes, at most once a second.
const NameRoomUsers = "roomUsers"

// MaxListed is how many users a list of a room's users has at most.
const MaxListed = 200

// RoomUsers is the payload of roomUsers.
type RoomUsers struct {
	RoomID RoomID `json:"roomId"`
	Users  []User `json:"users"` // at most MaxListed
	Total  uint64 `json:"total"` // all of them
}

// AppendJSON appends the payload.
func (u *RoomUsers) AppendJSON(dst []byte) []byte {
	dst = appendText(dst, `{"roomId":`, u.RoomID)
	dst = appendList(dst, `,"users":`, u.Users, appendUser)
	dst = appendUint(dst, `,"total":`, u.Total)
	return append(dst, '}')
}
