package event

import "github.com/confab-chat/confab/proto/wire"

// Route says which service carries out a client event.
type Route uint8

const (
	// RouteLocal is for an event that the edge has code of its own for.
	RouteLocal Route = iota
	// RouteRoom is for an event that the edge forwards to the owner of the payload's
	// room, as a wire.Command. The rule is in the room service.
	RouteRoom
	// RouteUser is for an event that the edge forwards to the owner of the sender's
	// presence.
	RouteUser
)

// Def declares a client event: a package variable of this type in the event's file
// makes it part of [Catalog], which tools/eventgen writes. Edge and room derive their
// dispatch from the catalog.
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

	// Payload and Success return new zero values of the payload's type and of the
	// reply's: request[T] and reply[T].
	Payload func() Request
	Success func() Reply
}

// ServerDef declares a server event: a package variable of this type in the event's
// file makes it part of [ServerEvents], which tools/eventgen writes.
type ServerDef struct {
	Name string
	// Class says what a slow client loses first when the event is broadcast. An event
	// that an edge sends to a single connection is never dropped.
	Class wire.Class

	// Payload returns a new zero value of the payload's type: serverEvent[T].
	Payload func() Payload
}

func request[T any, P interface {
	*T
	Request
}]() Request {
	return P(new(T))
}

func reply[T any, P interface {
	*T
	Reply
}]() Reply {
	return P(new(T))
}

func serverEvent[T any, P interface {
	*T
	Payload
}]() Payload {
	return P(new(T))
}
