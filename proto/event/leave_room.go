package event

// Names of the event and of its reply.
const (
	NameLeaveRoom = "leaveRoom"
	NameLeftRoom  = "leftRoom"
)

// LeaveRoom asks to leave a room.
type LeaveRoom struct {
	RoomID RoomID `json:"roomId"`
}

// Decode implements Request.
func (p *LeaveRoom) Decode(data []byte) (err error) {
	p.RoomID, err = decodeRoom(data)
	return err
}

// Room implements RoomRequest.
func (p *LeaveRoom) Room() RoomID { return p.RoomID }

// LeftRoom answers LeaveRoom.
type LeftRoom struct {
	RoomID    RoomID `json:"roomId"`
	Success   bool   `json:"success"`
	Timestamp Time   `json:"timestamp"`
}

// AppendJSON implements Reply.
func (r *LeftRoom) AppendJSON(dst []byte) []byte {
	dst = appendText(dst, `{"roomId":`, r.RoomID)
	dst = appendTime(dst, `,"success":true,"timestamp":`, r.Timestamp)
	return append(dst, '}')
}
