package event

// Names of the event and of its reply. The reply is followed by the server event roomStats.
const (
	NameGetRoomStats       = "getRoomStats"
	NameRoomStatsRetrieved = "roomStatsRetrieved"
)

var getRoomStats = Def{
	Name: NameGetRoomStats, Reply: NameRoomStatsRetrieved, Route: RouteRoom, NeedsRoom: true, NeedsSync: true,
	Payload: request[GetRoomStats], Success: reply[RoomStatsRetrieved],
}

// GetRoomStats requests the statistics of a room.
type GetRoomStats struct {
	RoomID RoomID `json:"roomId"`
}

// RoomStatsRetrieved answers GetRoomStats.
type RoomStatsRetrieved struct {
	Success True `json:"success"`
	RoomStats
}
