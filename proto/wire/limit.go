package wire

// Action is what a permit is for; each has its own limit.
type Action uint64

const (
	ActionMessage Action = 1
	ActionJoin    Action = 2
	ActionTyping  Action = 3
	ActionResume  Action = 4 // joinRoom with since: its own limit of 100 a minute
)

// Grants lists when the permits of one action were granted, oldest first. The times are
// ages, because the clocks of two processes differ.
type Grants struct {
	Action Action `wire:"1"`
	Runs   []Run  `wire:"2"`
}

// Run is Count permits that were granted AgeMs ago.
type Run struct {
	AgeMs uint64 `wire:"1"`
	Count uint64 `wire:"2"`
}

// Take asks for one permit. Reply: Taken.
type Take struct {
	User   string `wire:"1"`
	Action Action `wire:"2"`
	// Edge is the requesting edge, which may get a lease of the user's limits. An edge that
	// recently had a lease names it and reports what it has granted under it.
	Edge   string   `wire:"3"`
	Lease  uint64   `wire:"4"`
	Grants []Grants `wire:"5"`
	// Spent was granted while the owner did not answer: it counts as well.
	Spent []Grants `wire:"6"`
}

// Taken answers Take.
type Taken struct {
	Fault
	OK           bool   `wire:"4"`
	RetryAfterMs uint64 `wire:"5"` // when not OK: after this long one permit is free again

	// Lease, unless 0, is the number of a lease: for LeaseMs from its request on the edge
	// decides locally, for all actions, beginning with Grants, until the lease is recalled.
	// Of two leases the later one has the higher number.
	Lease   uint64   `wire:"6"`
	LeaseMs uint64   `wire:"7"`
	Grants  []Grants `wire:"8"`
}

// Recall ends a lease because another edge requests the user's permits. Reply: Leased,
// without a lease if the edge has none.
type Recall struct {
	User  string `wire:"1"`
	Lease uint64 `wire:"2"`
}

// Leased is a user whose limits are leased, and what was granted under the lease; or, with
// lease 0, what an edge granted to a user without a lease.
type Leased struct {
	User   string   `wire:"1"`
	Lease  uint64   `wire:"2"`
	Grants []Grants `wire:"3"`

	Unused Action `wire:"4"` // of a return: the newest permit for this action was not needed
}

// LeaseSync asks all edges which leases they hold in a shard, and what they have granted to
// other users. Each answers with Leases, several when there are many.
type LeaseSync struct {
	Shard uint64 `wire:"1"`
}

// Leases are some of the leases that an edge holds in a shard: sent to a new owner, or
// returned.
type Leases struct {
	Edge  string   `wire:"1"`
	Shard uint64   `wire:"2"`
	Users []Leased `wire:"3"`
}
