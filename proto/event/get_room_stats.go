package event

// Names of the event and of its reply. The reply is followed by the server event roomStats.
const (
	NameGetRoomStats       = "getRoomStats"
	NameRoomStatsRetrieved = "roomStatsRetrieved"
)

// GetRoomStats asks for a room's statistics.
type GetRoomStats struct {
	RoomID RoomID `json:"roomId"`
}

// Decode implements Request.
func (p *GetRoomStats) Decode(data []byte) (err error) {
	p.RoomID, err = decodeRoom(data)
	return err
}

// RoomStatsRetrieved answers GetRoomStats.
//
// The edge, which has the statistics as JSON, uses AppendRoomStatsRetrieved.
type RoomStatsRetrieved struct {
	Success bool `json:"success"`
	RoomStats
}

// AppendJSON implements Reply.
func (r *RoomStatsRetrieved) AppendJSON(dst []byte, f Form) []byte {
	dst = open(dst, f, NameRoomStatsRetrieved)
	dst = append(dst, `"success":true,`...)
	return append(r.RoomStats.appendMembers(dst), '}')
}

// AppendRoomStatsRetrieved appends the reply around stats, the JSON object of a
// RoomStats as room has encoded it.
func AppendRoomStatsRetrieved(dst, stats []byte, f Form) []byte {
	dst = open(dst, f, NameRoomStatsRetrieved)
	dst = append(dst, `"success":true,`...)
	return append(dst, stats[1:]...) // without its brace
}
