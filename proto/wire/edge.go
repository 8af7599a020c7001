package wire

// PollKind is what a [Poll] wants.
type PollKind = uint64

const (
	PollGet  PollKind = 1 // a GET: what is there to send?
	PollPost PollKind = 2 // a POST: Body holds the client's packets
	PollGone PollKind = 3 // the client abandoned the GET of the same ID; no reply
)

// Poll is a request of Engine.IO long-polling that came to another edge than the one
// that has the session (subject.EdgePeer). Reply: Polled.
type Poll struct {
	Kind PollKind `wire:"1"`
	SID  string   `wire:"2"` // the session
	ID   uint64   `wire:"3"` // of the client's request
	Body []byte   `wire:"4"`
}

// Polled is what the client is answered. Status 0: there is nothing to say yet, ask
// again.
type Polled struct {
	Status uint64 `wire:"1"` // of HTTP
	Body   []byte `wire:"2"`
}

// Recover asks the edge that had a Socket.IO session for it: a client that came to
// another edge shows its private id, and the message that it has had last. The edge
// that answers lets go of the session. Reply: Recovered.
type Recover struct {
	PID  string `wire:"1"`
	User string `wire:"2"` // as authenticated by the asking edge
	Edge string `wire:"3"` // token of the asking edge
	Room string `wire:"4"` // of the message
	Seq  uint64 `wire:"5"`
}

// Recovered is what is known of the session.
type Recovered struct {
	Exact bool           `wire:"1"` // what the client has had in each room is certain
	Edge  string         `wire:"2"` // token of the edge to ask instead; empty: this one knew
	Rooms []RoomPosition `wire:"3"`
}

// RoomPosition is the last message of a room that a client has had.
type RoomPosition struct {
	Room string `wire:"1"`
	Seq  uint64 `wire:"2"`
}
