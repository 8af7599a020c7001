package wire

// UserUp reports to the owner of a user's shard that an edge holds connections of the
// user, and in which rooms (Rooms only with presence scope "rooms"). It is sent when the
// first connection opens and whenever Rooms changes; it is idempotent. Reply: Done.
type UserUp struct {
	Origin
	User  User     `wire:"3,4"`
	Rooms []string `wire:"5"`
	Again bool     `wire:"6"` // as in Join
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

// Sync asks every edge for what it holds in a shard (subject.EdgesSync), when a
// new owner begins. Each edge answers with one or more Snapshots.
type Sync struct {
	Shard uint64 `wire:"1"`
}

// Snapshot is what an edge holds in a shard: members of rooms and users. It is
// cut into parts that fit a NATS message; Last marks the final one.
type Snapshot struct {
	Origin
	Shard uint64        `wire:"3"`
	Rooms []RoomMembers `wire:"4"`
	Users []UserUp      `wire:"5"`
	Last  bool          `wire:"6"`
}

// RoomMembers are the users whose connections on one edge have joined a room.
type RoomMembers struct {
	Room  string `wire:"1"`
	Users []User `wire:"2"`
}
