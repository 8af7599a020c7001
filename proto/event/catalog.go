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
}

// Catalog lists all client events, in the order of the documents. The edge makes
// its dispatch of it: a new event is one file here, one row, and its rule.
func Catalog() []Def {
	return []Def{
		{NameJoinRoom, NameJoinedRoom, CostJoin, false},
		{NameLeaveRoom, NameLeftRoom, CostNone, true},
		{NameSendMessage, NameMessageSent, CostMessage, true},
		{NameTyping, NameTypingUpdated, CostTyping, true},
		{NameGetRoomStats, NameRoomStatsRetrieved, CostNone, true},
		{NameHeartbeat, NameHeartbeatResponse, CostNone, false},
		{NameGetHistory, NameHistory, CostNone, true},
		{NameUpdatePresence, NamePresenceUpdated, CostNone, false},
		{NameGetPresence, NamePresenceRetrieved, CostNone, false},
		{NameMessageRead, NameMessageRead, CostNone, true},
		{NameRefreshToken, NameTokenRefreshed, CostNone, false},
	}
}

// ServerEvents lists the names of all server events, in the order of the documents.
func ServerEvents() []string {
	return []string{
		NameReceiveMessage, NameUserJoined, NameUserLeft, NameUserOnline, NameUserOffline,
		NameUserTyping, NameRoomUsers, NameRoomStats, NamePresenceUpdate, NameMessageReadUpdate,
		NamePing, NameGap, NameReconnectSoon, NameError,
	}
}
