package event

// Names of the event and of its reply.
const (
	NameLeaveRoom = "leaveRoom"
	NameLeftRoom  = "leftRoom"
)

var leaveRoom = Def{
	Name: NameLeaveRoom, Reply: NameLeftRoom, NeedsRoom: true,
	Payload: request[LeaveRoom], Success: reply[LeftRoom],
}

// LeaveRoom leaves a room.
type LeaveRoom struct {
	RoomID RoomID `json:"roomId"`
}

// LeftRoom answers LeaveRoom.
type LeftRoom struct {
	RoomID    RoomID `json:"roomId"`
	Success   True   `json:"success"`
	Timestamp Time   `json:"timestamp"`
}
