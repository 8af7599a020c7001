package event

import "github.com/confab-chat/confab/proto/wire"

// Route says who carries out a client event.
type Route uint8

const (
	// RouteLocal is for an event that the edge has code of its own for.
	RouteLocal Route = iota
	// RouteRoom is for an event that the edge forwards to the owner of the payload's
	// room, as a wire.Command. The rule is in the room service.
	RouteRoom
	// RouteUser is for an event that the edge forwards to the owner of the user who asks.
	RouteUser
)

// Def is one row of the catalog of client events.
type Def struct {
	Name  string // also the operation's token in the subject of a forwarded event
	Reply string // the event member of the reply
	Route Route
	// Cost is the limit that the event draws on, 0 for none. A joinRoom with since
	// draws on another one, wire.ActionResume: the edge looks at the payload.
	Cost wire.Action
	// NeedsRoom refuses the event with NOT_IN_ROOM unless the connection has joined
	// the payload's room. The payload is a RoomRequest then.
	NeedsRoom bool
	// NeedsSync makes an owner that has just started wait for the edges' snapshots
	// first: the rule changes or shows who is here.
	NeedsSync bool

	// Payload and Success are zero values of the types of the payload and of the
	// reply, for callers that need the types alone: generators, tests.
	Payload Request
	Success Reply
}

// Catalog lists all client events, in the order of the documents. Edge and room
// derive their dispatch from it.
func Catalog() []Def {
	return []Def{
		{Name: NameJoinRoom, Reply: NameJoinedRoom, Cost: wire.ActionJoin, Payload: &JoinRoom{}, Success: &JoinedRoom{}},
		{Name: NameLeaveRoom, Reply: NameLeftRoom, NeedsRoom: true, Payload: &LeaveRoom{}, Success: &LeftRoom{}},
		{Name: NameSendMessage, Reply: NameMessageSent, Cost: wire.ActionMessage, NeedsRoom: true, Payload: &SendMessage{}, Success: &MessageSent{}},
		{Name: NameTyping, Reply: NameTypingUpdated, Cost: wire.ActionTyping, NeedsRoom: true, Payload: &Typing{}, Success: &TypingUpdated{}},
		{Name: NameGetRoomStats, Reply: NameRoomStatsRetrieved, Route: RouteRoom, NeedsRoom: true, NeedsSync: true, Payload: &GetRoomStats{}, Success: &RoomStatsRetrieved{}},
		{Name: NameHeartbeat, Reply: NameHeartbeatResponse, Payload: &Heartbeat{}, Success: &HeartbeatResponse{}},
		{Name: NameGetHistory, Reply: NameHistory, Route: RouteRoom, NeedsRoom: true, Payload: &GetHistory{}, Success: &History{}},
		{Name: NameUpdatePresence, Reply: NamePresenceUpdated, Route: RouteUser, NeedsSync: true, Payload: &UpdatePresence{}, Success: &PresenceUpdated{}},
		{Name: NameGetPresence, Reply: NamePresenceRetrieved, Payload: &GetPresence{}, Success: &PresenceRetrieved{}},
		{Name: NameMessageRead, Reply: NameMessageRead, Route: RouteRoom, NeedsRoom: true, Payload: &MessageRead{}, Success: &MessageReadReply{}},
		{Name: NameRefreshToken, Reply: NameTokenRefreshed, Payload: &RefreshToken{}, Success: &TokenRefreshed{}},
	}
}

// ServerDef is one row of the catalog of server events.
type ServerDef struct {
	Name string
	// Class says what a slow client loses first, when the event is broadcast. What an
	// edge sends to one connection is never dropped, whatever its class.
	Class   wire.Class
	Payload any // a pointer to a zero value of the payload's type
}

// ServerEvents lists all server events, in the order of the documents.
func ServerEvents() []ServerDef {
	return []ServerDef{
		{NameReceiveMessage, wire.ClassReliable, &Message{}},
		{NameUserJoined, wire.ClassPresence, &MemberChange{}},
		{NameUserLeft, wire.ClassPresence, &MemberChange{}},
		{NameUserOnline, wire.ClassPresence, &OnlineChange{}},
		{NameUserOffline, wire.ClassPresence, &OnlineChange{}},
		{NameUserTyping, wire.ClassTyping, &UserTyping{}},
		{NameRoomUsers, wire.ClassPresence, &RoomUsers{}},
		{NameRoomStats, wire.ClassReliable, &RoomStats{}},
		{NamePresenceUpdate, wire.ClassPresence, &PresenceUpdate{}},
		{NameMessageReadUpdate, wire.ClassPresence, &MessageReadUpdate{}},
		{NamePing, wire.ClassReliable, &Ping{}},
		{NameGap, wire.ClassReliable, &Gap{}},
		{NameReconnectSoon, wire.ClassReliable, &ReconnectSoon{}},
		{NameError, wire.ClassReliable, &Failure{}},
	}
}
