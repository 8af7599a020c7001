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
	Kind PollKind
	SID  string // the session
	ID   uint64 // of the client's request
	Body []byte
}

func (m *Poll) fields(c *codec) {
	c.uint(1, &m.Kind)
	c.string(2, &m.SID)
	c.uint(3, &m.ID)
	c.bytes(4, &m.Body)
}

// Polled is what the client is answered. Status 0: there is nothing to say yet, ask
// again.
type Polled struct {
	Status uint64 // of HTTP
	Body   []byte
}

func (m *Polled) fields(c *codec) {
	c.uint(1, &m.Status)
	c.bytes(2, &m.Body)
}

// Recover asks the edge that had a Socket.IO session for it: a client that came to
// another edge shows its private id, and the message that it has had last. The edge
// that answers lets go of the session. Reply: Recovered.
type Recover struct {
	PID  string
	User string // as authenticated by the asking edge
	Edge string // token of the asking edge
	Room string // of the message
	Seq  uint64
}

func (m *Recover) fields(c *codec) {
	c.string(1, &m.PID)
	c.string(2, &m.User)
	c.string(3, &m.Edge)
	c.string(4, &m.Room)
	c.uint(5, &m.Seq)
}

// Recovered is what is known of the session.
type Recovered struct {
	Exact bool   // what the client has had in each room is certain
	Edge  string // token of the edge to ask instead; empty: this one knew
	Rooms []RoomPosition
}

func (m *Recovered) fields(c *codec) {
	c.bool(1, &m.Exact)
	c.string(2, &m.Edge)
	repeated(c, 3, &m.Rooms)
}

// RoomPosition is the last message of a room that a client has had.
type RoomPosition struct {
	Room string
	Seq  uint64
}

func (m *RoomPosition) fields(c *codec) {
	c.string(1, &m.Room)
	c.uint(2, &m.Seq)
}
