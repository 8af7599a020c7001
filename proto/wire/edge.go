package wire

// PollKind is the kind of a [Poll].
type PollKind = uint64

const (
	PollGet  PollKind = 1 // a GET: what is there to send?
	PollPost PollKind = 2 // a POST: Body holds the client's packets
	PollGone PollKind = 3 // the client abandoned the GET of the same ID; no reply
)

// Poll is a request of Engine.IO long-polling that reached another edge than the one that
// owns the session. It goes to subject.EdgePeer. Reply: Polled.
type Poll struct {
	Kind PollKind `wire:"1"`
	SID  string   `wire:"2"` // the session
	ID   uint64   `wire:"3"` // of the client's request
	Body []byte   `wire:"4"`
}

// Polled is the answer for the client. Status 0: there is nothing to send yet; ask again.
type Polled struct {
	Status uint64 `wire:"1"` // of HTTP
	Body   []byte `wire:"2"`
}

// Recover asks the edge that owned a Socket.IO session to release it: the client has
// reconnected to another edge, with its private id and the last message that it
// received. Reply: Recovered.
type Recover struct {
	PID  string `wire:"1"`
	User string `wire:"2"` // as authenticated by the asking edge
	Edge string `wire:"3"` // token of the asking edge
	Room string `wire:"4"` // of the message
	Seq  uint64 `wire:"5"`
}

// Recovered is the released session.
type Recovered struct {
	Exact bool           `wire:"1"` // it is certain what the client has received in each room
	Edge  string         `wire:"2"` // token of the edge to ask instead; empty when this answer is final
	Rooms []RoomPosition `wire:"3"`
}

// RoomPosition is the last message of a room that a client has received.
type RoomPosition struct {
	Room string `wire:"1"`
	Seq  uint64 `wire:"2"`
}
