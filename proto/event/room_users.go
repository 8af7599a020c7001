package event

// NameRoomUsers is the server event that lists who is in a room.
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
