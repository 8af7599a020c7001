package event

// Cost is the limit that a client event draws on.
type Cost uint8

// Costs. A joinRoom with since draws on a limit of its own (wire.ActionResume):
// the edge looks at the payload.
const (
	CostNone Cost = iota
	CostMessage
	CostJoin
	CostTyping
)

// Def is one row of the catalog of client events.
type Def struct {
	Name      string
	Reply     string // the event member of the reply
	Cost      Cost
	NeedsRoom bool // refused with NOT_IN_ROOM unless the connection has joined roomId

	// Payload and Success are zero values of the types of the payload and of the
	// reply, for who needs the types alone: generators, tests.
	Payload Request
	Success Reply
}

// Catalog lists all client events, in the order of the documents. The edge makes
// its dispatch of it: a new event is one file here, one row, and its rule.
func Catalog() []Def {
	return []Def{
		{NameJoinRoom, NameJoinedRoom, CostJoin, false, &JoinRoom{}, &JoinedRoom{}},
		{NameLeaveRoom, NameLeftRoom, CostNone, true, &LeaveRoom{}, &LeftRoom{}},
		{NameSendMessage, NameMessageSent, CostMessage, true, &SendMessage{}, &MessageSent{}},
		{NameTyping, NameTypingUpdated, CostTyping, true, &Typing{}, &TypingUpdated{}},
		{NameGetRoomStats, NameRoomStatsRetrieved, CostNone, true, &GetRoomStats{}, &RoomStatsRetrieved{}},
		{NameHeartbeat, NameHeartbeatResponse, CostNone, false, &Heartbeat{}, &HeartbeatResponse{}},
		{NameGetHistory, NameHistory, CostNone, true, &GetHistory{}, &History{}},
		{NameUpdatePresence, NamePresenceUpdated, CostNone, false, &UpdatePresence{}, &PresenceUpdated{}},
		{NameGetPresence, NamePresenceRetrieved, CostNone, false, &GetPresence{}, &PresenceRetrieved{}},
		{NameMessageRead, NameMessageRead, CostNone, true, &MessageRead{}, &MessageReadReply{}},
		{NameRefreshToken, NameTokenRefreshed, CostNone, false, &RefreshToken{}, &TokenRefreshed{}},
	}
}

// ServerDef is one row of the catalog of server events.
type ServerDef struct {
	Name    string
	Payload any // a pointer to a zero value of the payload's type
}

// ServerEvents lists all server events, in the order of the documents.
func ServerEvents() []ServerDef {
	return []ServerDef{
		{NameReceiveMessage, &Message{}},
		{NameUserJoined, &MemberChange{}},
		{NameUserLeft, &MemberChange{}},
		{NameUserOnline, &OnlineChange{}},
		{NameUserOffline, &OnlineChange{}},
		{NameUserTyping, &UserTyping{}},
		{NameRoomUsers, &RoomUsers{}},
		{NameRoomStats, &RoomStats{}},
		{NamePresenceUpdate, &PresenceUpdate{}},
		{NameMessageReadUpdate, &MessageReadUpdate{}},
		{NamePing, &Ping{}},
		{NameGap, &Gap{}},
		{NameReconnectSoon, &ReconnectSoon{}},
		{NameError, &Failure{}},
	}
}
