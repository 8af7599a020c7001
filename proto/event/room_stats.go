package event

// NameRoomStats is sent after the reply to getRoomStats, to the connection that asked.
const NameRoomStats = "roomStats"

// RoomStats is the payload of roomStats.
type RoomStats struct {
	RoomID       RoomID     `json:"roomId"`
	UserCount    uint64     `json:"userCount"` // all of them
	Users        []User     `json:"users"`     // at most MaxListed
	TypingUsers  UserIDs    `json:"typingUsers"`
	CreatedAt    TimeOrNull `json:"createdAt"`    // null when unknown
	LastActivity TimeOrNull `json:"lastActivity"` // null when unknown
	Timestamp    Time       `json:"timestamp"`
}

// AppendJSON appends the payload.
func (s *RoomStats) AppendJSON(dst []byte) []byte {
	return append(s.appendMembers(append(dst, '{')), '}')
}

func (s *RoomStats) appendMembers(dst []byte) []byte {
	dst = appendText(dst, `"roomId":`, s.RoomID)
	dst = appendUint(dst, `,"userCount":`, s.UserCount)
	dst = appendList(dst, `,"users":`, s.Users, appendUser)
	dst = appendList(dst, `,"typingUsers":`, s.TypingUsers, appendUserID)
	dst = appendTime(dst, `,"createdAt":`, s.CreatedAt)
	dst = appendTime(dst, `,"lastActivity":`, s.LastActivity)
	return appendTime(dst, `,"timestamp":`, s.Timestamp)
}
