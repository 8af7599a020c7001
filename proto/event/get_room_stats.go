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

// Room implements RoomRequest.
func (p *GetRoomStats) Room() RoomID { return p.RoomID }

// RoomStatsRetrieved answers GetRoomStats.
type RoomStatsRetrieved struct {
	Success bool `json:"success"`
	RoomStats
}

// AppendJSON implements Reply.
func (r *RoomStatsRetrieved) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"success":true,`...)
	return append(r.RoomStats.appendMembers(dst), '}')
}
