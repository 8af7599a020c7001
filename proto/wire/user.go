package wire

// UserUp reports to the owner of a user's shard that an edge holds connections of the
// user, and in which rooms (Rooms only with presence scope "rooms"). It is sent when the
// first connection opens and whenever Rooms changes; it is idempotent. Reply: Done.
type UserUp struct {
	Origin
	User  User     `wire:"3,4"`
	Rooms []string `wire:"5"`
	Again bool     `wire:"6"` // set by earlier releases; ignored
}

// UserDown reports that the last connection of the user on an edge has closed.
// After GraceMs without a UserUp the owner removes the user there. Reply: Done.
type UserDown struct {
	Origin
	User    string `wire:"3"`
	GraceMs uint64 `wire:"4"`
}

// UserGet asks the owner of a user shard for presence: of Users, all of that
// shard, or, when there are none, of up to Limit users who are online. Reply: Presences.
type UserGet struct {
	Users []string `wire:"1"`
	Limit uint64   `wire:"2"`
}

// Presences answers UserGet; users the owner never saw are offline and have no name.
type Presences struct {
	Fault
	Users []Presence `wire:"4"`
}

// Presence is what is known of a user.
type Presence struct {
	User       User   `wire:"1,2"`
	Status     string `wire:"3"`
	Custom     string `wire:"4"`
	Online     bool   `wire:"5"`
	LastSeenMs uint64 `wire:"6"` // unix milliseconds; now while online, 0 when never seen
}

// Check compares what an edge holds in a shard with what the owner believes of it. It is sent
// every few seconds in the order of the edge's other room commands, so that it finds those
// before it carried out. An owner that differs asks for a Snapshot. Reply: Done.
type Check struct {
	Origin
	Members Sum `wire:"3,4"` // of MemberSum, those whose Join has no answer yet included
	Users   Sum `wire:"5,6"` // of UserSum, as in UserUp
}

// Repeat asks the owner of a shard to broadcast again the events with a Broadcast.Number above
// After. It does so after the reply; if it does not have them all any more, it broadcasts the
// members of rooms instead. Edges ignore what they have seen. Reply: Repeated.
type Repeat struct {
	After uint64 `wire:"1"`
}

// Repeated is the reply to Repeat.
type Repeated struct {
	Fault
	Number uint64 `wire:"4"` // of the shard's last event: all up to it follow
}

// Sync asks edges for what they hold in a shard (subject.EdgesSync): all edges when a new
// owner begins, later the one with the id Edge. Each answers with one or more Snapshots.
type Sync struct {
	Shard uint64 `wire:"1"`
	Edge  string `wire:"2"` // empty: all; the generation does not matter
}

// Snapshot is what an edge holds in a shard: members of rooms and users. It is
// cut into parts that fit a NATS message; Last marks the final one.
type Snapshot struct {
	Origin
	Shard uint64        `wire:"3"`
	Rooms []RoomMembers `wire:"4"`
	Users []UserUp      `wire:"5"`
	Last  bool          `wire:"6"`
	Part  uint64        `wire:"7"` // 1 is the first; 0 in earlier releases

	// Opening are users whose UserUp has no answer yet. They are reported by it, and not
	// gone either.
	Opening []string `wire:"8"`
}

// RoomMembers are the users whose connections on one edge have joined a room.
type RoomMembers struct {
	Room    string   `wire:"1"`
	Users   []User   `wire:"2"`
	Joining []string `wire:"3"` // users whose Join has no answer yet, as in Snapshot.Opening
	Head    uint64   `wire:"4"` // seq of the last message that the edge has delivered; 0 in earlier releases
}
