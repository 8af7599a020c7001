package wire

// UserUp tells the owner of a user's shard that an edge holds connections of the
// user, and in which rooms (Rooms only with presence scope "rooms"). It is sent
// when the first connection opens and whenever Rooms changes; saying it twice
// changes nothing. Reply: Done.
type UserUp struct {
	Origin
	User  User
	Rooms []string
	Again bool // as in Join
}

func (m *UserUp) fields(c *codec) {
	m.Origin.fields(c)
	c.string(3, &m.User.ID)
	c.string(4, &m.User.Name)
	c.strings(5, &m.Rooms)
	c.bool(6, &m.Again)
}

// UserDown tells that the last connection of the user on an edge has closed.
// After GraceMs without a UserUp the user is gone there. Reply: Done.
type UserDown struct {
	Origin
	User    string
	GraceMs uint64
}

func (m *UserDown) fields(c *codec) {
	m.Origin.fields(c)
	c.string(3, &m.User)
	c.uint(4, &m.GraceMs)
}

// UserStatus sets what a user says of themselves. Reply: Done.
type UserStatus struct {
	User   User
	Status string // online, away, busy
	Custom string
}

func (m *UserStatus) fields(c *codec) {
	c.string(1, &m.User.ID)
	c.string(2, &m.User.Name)
	c.string(3, &m.Status)
	c.string(4, &m.Custom)
}

// UserGet asks the owner of a user shard for presence: of Users, all of that
// shard, or, when there are none, of up to Limit users who are online. Reply: Presences.
type UserGet struct {
	Users []string
	Limit uint64
}

func (m *UserGet) fields(c *codec) {
	c.strings(1, &m.Users)
	c.uint(2, &m.Limit)
}

// Presences answers UserGet; users the owner never saw come back offline without a name.
type Presences struct {
	Fault
	Users []Presence
}

func (m *Presences) fields(c *codec) {
	m.fault(c)
	repeated(c, 4, &m.Users)
}

// Presence is what is known of a user.
type Presence struct {
	User       User
	Status     string
	Custom     string
	Online     bool
	LastSeenMs uint64 // unix milliseconds; now while online, 0 when never seen
}

func (m *Presence) fields(c *codec) {
	c.string(1, &m.User.ID)
	c.string(2, &m.User.Name)
	c.string(3, &m.Status)
	c.string(4, &m.Custom)
	c.bool(5, &m.Online)
	c.uint(6, &m.LastSeenMs)
}

// Sync asks every edge for what it holds in a shard (subject.EdgesSync), when a
// new owner begins. Each edge answers with one or more Snapshots.
type Sync struct{ Shard uint64 }

func (m *Sync) fields(c *codec) { c.uint(1, &m.Shard) }

// Snapshot is what an edge holds in a shard: members of rooms and users. It is
// cut into parts that fit a NATS message; Last marks the final one.
type Snapshot struct {
	Origin
	Shard uint64
	Rooms []RoomMembers
	Users []UserUp
	Last  bool
}

func (m *Snapshot) fields(c *codec) {
	m.Origin.fields(c)
	c.uint(3, &m.Shard)
	repeated(c, 4, &m.Rooms)
	repeated(c, 5, &m.Users)
	c.bool(6, &m.Last)
}

// RoomMembers are the users whose connections on one edge have joined a room.
type RoomMembers struct {
	Room  string
	Users []User
}

func (m *RoomMembers) fields(c *codec) {
	c.string(1, &m.Room)
	repeated(c, 2, &m.Users)
}
