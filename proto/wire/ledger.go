package wire

// Changes is one record of the ledger of a shard (subject.Ledger): what has changed in who is
// here, and what was announced of it, in order. A new owner reads the records to learn what
// the members of rooms and the observers of users were shown.
type Changes struct {
	Epoch    uint64    `wire:"1"` // of the owner that stored it
	Batch    uint64    `wire:"2"` // counts the records of that owner, from 1; the first one is empty
	AtMs     uint64    `wire:"3"` // when, unix milliseconds
	Edges    []Origin  `wire:"4"`
	Holdings []Holding `wire:"5"` // a later one of the same member replaces an earlier one
	News     []News    `wire:"6"`
	Sent     uint64    `wire:"7"` // the number of the last broadcast before this record
}

// Holding says who holds a member of a room, or a user who is online.
type Holding struct {
	Room    string   `wire:"1"` // empty: the presence of User
	User    User     `wire:"2,3"`
	Edge    uint64   `wire:"4"` // index in Changes.Edges + 1 of the edge that holds them, or did until recently; 0: gone
	UntilMs uint64   `wire:"5"` // the end of the grace, unix milliseconds; 0: the edge holds them
	Rooms   []string `wire:"6"` // of a user, with presence scope "rooms": joined
}

// NewsKind is the kind of a News.
type NewsKind = uint64

const (
	NewsJoined  NewsKind = 1 // userJoined
	NewsLeft    NewsKind = 2 // userLeft
	NewsOnline  NewsKind = 3 // userOnline
	NewsOffline NewsKind = 4 // userOffline
)

// News is a change that others are notified of. Its broadcasts have the numbers from Number
// on, so that a broadcast that is repeated by a new owner is recognised.
type News struct {
	Kind   NewsKind `wire:"1"`
	Number uint64   `wire:"2"`
	Room   string   `wire:"3"` // empty for a user
	User   User     `wire:"4,5"`
	Rooms  []string `wire:"6"` // of a user, with presence scope "rooms": as in presence.Event
	Known  []string `wire:"7"`
}
