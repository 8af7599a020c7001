package wire

// Origin names the edge process that sends: Gen is new at every start, so what a dead
// process left behind is distinguished from what its successor reports.
type Origin struct {
	Edge string `wire:"1"`
	Gen  uint64 `wire:"2"`
}

// UserID is a user id, see package event.
type UserID = string

// User is a user as others see them. The tags are those of the client contract,
// where package event uses this type too.
type User struct {
	ID   UserID `json:"userId" wire:"1"`
	Name string `json:"username" wire:"2"`
}

// Join asks the owner of a room to count a user's connection on an edge as a
// member. Joining twice changes nothing. Reply: Joined.
type Join struct {
	Origin
	Room  string `wire:"3"`
	User  User   `wire:"4,5"`
	Again bool   `wire:"6"` // set by earlier releases; ignored
	// List is the Joined.List of the users that the edge has; 0 if it has none.
	List uint64 `wire:"7"`
}

// Joined answers Join.
type Joined struct {
	Fault
	Epoch uint64 `wire:"4"` // of the owner's lease
	Head  uint64 `wire:"5"` // seq of the room's last message, 0 when there is none
	Total uint64 `wire:"6"` // members, all of them
	Users []User `wire:"7"` // at most 200, sorted by id; left out when the edge has them: List is the Join's
	List  uint64 `wire:"8"` // names Users in a room of more than 200, where they seldom change; else 0
	Shown uint64 `wire:"9"` // Broadcast.Shown of Users
}

// Leave reports to the owner that the last connection of a user on an edge has left
// the room. After GraceMs without a new Join the owner removes the user there. Reply: Done.
type Leave struct {
	Origin
	Room    string `wire:"3"`
	User    string `wire:"4"`
	GraceMs uint64 `wire:"5"`
	// Undo is set after a Join that was refused, or was not answered in time: if the owner has
	// counted the user but not announced it yet, nothing is announced.
	Undo bool `wire:"6"`
}

// Done answers a command without a result.
type Done struct{ Fault }

// Text is a message of Send.More. Its fields mean what Send's do.
type Text struct {
	ClientID string `wire:"1"`
	Type     string `wire:"2"`
	Content  string `wire:"3"`

	RepeatOnly bool `wire:"4"`
}

// Send asks the owner to accept a message, and More of the same user, which follow it
// in this order. ClientID makes a message idempotent per user and room; the edge makes
// one up when the client gave none. Reply: Sent.
type Send struct {
	Origin
	Room     string `wire:"3"`
	User     User   `wire:"4,5"`
	ClientID string `wire:"6"`
	Type     string `wire:"7"` // TEXT, IMAGE, FILE
	Content  string `wire:"8"` // trimmed and checked by the edge
	More     []Text `wire:"9"`

	// RepeatOnly asks for the outcome of a message that is stored already: its sender has no
	// permit for a new one, which is refused as RATE_LIMITED.
	RepeatOnly bool `wire:"10"`
}

// Outcome is the outcome of a message, after the log has acknowledged it.
type Outcome struct {
	Fault
	Seq       uint64 `wire:"4"`
	Message   []byte `wire:"5"` // the client's JSON of the stored message
	Duplicate bool   `wire:"6"` // the ClientID was stored before: Message is that one
}

// Sent answers Send: the outcome of the first, and of More in the same order. An
// owner that knows only single messages, or refuses the whole, leaves More out.
type Sent struct {
	Outcome
	More []Outcome `wire:"7"`
}

// History asks the owner for messages by seq. With neither After nor Before: the
// newest. HasAfter marks After, because "after 0" means from the beginning. It
// serves replay after joinRoom {since} and gap repair. Reply: Messages.
type History struct {
	Room     string `wire:"1"`
	HasAfter bool   `wire:"2"`
	After    uint64 `wire:"3"` // exclusive
	Before   uint64 `wire:"4"` // exclusive, 0 = not given
	Limit    uint64 `wire:"5"` // 1 to 200
}

// Messages answers History: ascending, without gaps except for messages removed by retention.
type Messages struct {
	Fault
	Items  []Item `wire:"4"`
	More   bool   `wire:"5"` // there is more in the direction asked
	Head   uint64 `wire:"6"` // seq of the room's last message
	Oldest uint64 `wire:"7"` // seq of the first message still retained, 0 when there is none
}

// Item is one message with the seq that its JSON carries.
type Item struct {
	Seq  uint64 `wire:"1"`
	JSON []byte `wire:"2"`
}

// Command carries a client event to the owner of its room or user: subject.RoomCommand
// or subject.UserCommand with the event's name as the operation. Reply: Result.
type Command struct {
	User     User   `wire:"1,2"` // the requesting user
	Payload  []byte `wire:"3"`   // the event's payload, JSON that the edge has checked; empty when there is none
	MaxBytes uint64 `wire:"4"`   // limit of lists in the reply, for the connection's sake; 0: none
}

// Result answers Command.
type Result struct {
	Fault
	JSON  []byte `wire:"4"` // the reply object as native clients see it, without a Fault
	Event string `wire:"5"` // a server event for the requester alone, sent after the reply; empty: none
	Data  []byte `wire:"6"` // its payload
}

// Typing reports, at most once, that a user started or stopped typing. No reply.
type Typing struct {
	Room string `wire:"1"`
	User User   `wire:"2,3"`
	On   bool   `wire:"4"`
}

// Heads asks for the heads of rooms, all of one shard, after an edge was disconnected
// (subject.OpHeads). Reply: Digest, without the rooms that the log does not know.
type Heads struct {
	Rooms []string `wire:"1"`
}
