package wire

// Record is what one append to a room's log stores, and what is broadcast and
// replayed: 1 to 64 messages with consecutive seqs from First.
//
// Mark64 and Mark1024 are log positions (stream sequences) of the records that
// hold the last message whose seq is a multiple of 64 and of 1024, before First;
// 0 when there is none. They make "find the record of seq n" a walk of at most
// retention/1024 + 16 reads, without an index.
//
// Known is a page of the de-duplication index. Only some records have one. It covers the
// messages from those of the previous record with a Known to First-1, in order, with 40
// bytes each: the first 16 of the SHA-256 of user id, a zero byte and client id; Sum, AtMs,
// and the epoch of the owner that stored the message, 8 bytes each, little endian. Page is
// the log position of the previous record with a Known, 0 if there is none. A new owner
// follows the pages backwards to learn which messages were stored, instead of reading each
// of them. Where the pages end, or the record at Page is not the expected one, it reads the
// messages.
type Record struct {
	Epoch     uint64  `wire:"1"` // of the owner that appended
	First     uint64  `wire:"2"`
	Mark64    uint64  `wire:"3"`
	Mark1024  uint64  `wire:"4"`
	CreatedMs uint64  `wire:"5"` // of the room: when its first message was stored
	Room      string  `wire:"6"`
	Entries   []Entry `wire:"7"`
	Page      uint64  `wire:"8"`
	Known     []byte  `wire:"9"`
}

// Last is the seq of the record's last message.
func (m *Record) Last() uint64 { return m.First + uint64(len(m.Entries)) - 1 }

// Entry is one message of a Record. User and ClientID make the de-duplication
// key; Sum is a hash of type and content, which distinguishes a repeat from a conflict.
type Entry struct {
	User     string `wire:"1"`
	ClientID string `wire:"2"`
	Sum      uint64 `wire:"3"`
	AtMs     uint64 `wire:"4"` // when it was accepted, unix milliseconds, never falling within a room
	JSON     []byte `wire:"5"` // the message as clients see it
}

// Class says which events may be dropped for a client that reads too slowly.
type Class uint64

const (
	ClassReliable Class = iota // never dropped: the connection is closed instead
	ClassPresence              // dropped second
	ClassTyping                // dropped first
)

// Broadcast is sent by the owner of a room to the edges that hold it, on
// subject.RoomBroadcast, and by the owner of a user shard to all edges, on
// subject.UserBroadcast. Either Record is set (messages) or Event is.
type Broadcast struct {
	Epoch  uint64 `wire:"1"` // of the owner's lease; edges drop events of older ones
	Room   string `wire:"2"` // empty on subject.UserBroadcast
	Total  uint64 `wire:"3"` // members of the room after this, 0 = unknown
	Pos    uint64 `wire:"4"` // log position of Record
	Record []byte `wire:"5"` // a Record, the bytes of the log

	Event  string   `wire:"6"`  // server event of the contract, e.g. userJoined
	Data   []byte   `wire:"7"`  // its payload as clients see it
	Class  Class    `wire:"8"`  // what a slow client loses first
	Except string   `wire:"9"`  // this user's connections do not receive it
	Only   string   `wire:"10"` // only this user's connections receive it
	Rooms  []string `wire:"11"` // presence: the user's rooms; a member of two receives it once

	// Number grows with every userJoined, userLeft, userOnline and userOffline of a shard, so
	// that edges ignore a repeated one; 0: not numbered. A roomUsers that replaces some of them
	// has the number of the last.
	Number uint64 `wire:"12"`

	// Shown is the Number of the last event that a list of the room's members includes: to the
	// members who receive the list, edges send no repeats of events up to it.
	Shown uint64 `wire:"13"`
}

// Digest lists heads: on subject.Head each second those that moved in the last
// three, and in answer to Heads.
type Digest struct {
	Fault
	Epoch uint64 `wire:"4"`
	Heads []Head `wire:"5"`

	// Number is the Broadcast.Number of the shard's last event, and Before that in the previous
	// digest of the shard: an edge that has not seen Before has missed something. On
	// subject.Head only.
	Number uint64 `wire:"6"`
	Before uint64 `wire:"7"`
}

// Head is the seq of a room's last message.
type Head struct {
	Room string `wire:"1"`
	Seq  uint64 `wire:"2"`
}
