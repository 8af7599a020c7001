package wire

// Action is what a permit is for; each has its own limit.
type Action uint64

const (
	ActionMessage Action = 1
	ActionJoin    Action = 2
	ActionTyping  Action = 3
	ActionResume  Action = 4 // joinRoom with since: its own limit of 100 a minute
)

// Grants is when the permits of one action were granted, as ages: instants mean
// nothing to another process. Oldest first.
type Grants struct {
	Action Action
	Runs   []Run
}

func (m *Grants) fields(c *codec) {
	c.uint(1, (*uint64)(&m.Action))
	repeated(c, 2, &m.Runs)
}

// Run is Count permits that were granted AgeMs ago.
type Run struct{ AgeMs, Count uint64 }

func (m *Run) fields(c *codec) {
	c.uint(1, &m.AgeMs)
	c.uint(2, &m.Count)
}

// Take asks for one permit. Reply: Taken.
type Take struct {
	User   string
	Action Action
	// Edge asks, and may be given a lease of the user's limits. One that had a lease
	// until lately names it and says what it has granted under it.
	Edge   string
	Lease  uint64
	Grants []Grants
	// Spent was granted while the owner did not answer: it counts as well.
	Spent []Grants
}

func (m *Take) fields(c *codec) {
	c.string(1, &m.User)
	c.uint(2, (*uint64)(&m.Action))
	c.string(3, &m.Edge)
	c.uint(4, &m.Lease)
	repeated(c, 5, &m.Grants)
	repeated(c, 6, &m.Spent)
}

// Taken answers Take.
type Taken struct {
	Fault
	OK           bool
	RetryAfterMs uint64 // when not OK: after this long one permit is free again

	// Lease, unless 0: for LeaseMs from its request on the edge decides by itself, for
	// all actions, beginning with Grants, until it is recalled. Of two leases the
	// later one has the higher number.
	Lease   uint64
	LeaseMs uint64
	Grants  []Grants
}

func (m *Taken) fields(c *codec) {
	m.fault(c)
	c.bool(4, &m.OK)
	c.uint(5, &m.RetryAfterMs)
	c.uint(6, &m.Lease)
	c.uint(7, &m.LeaseMs)
	repeated(c, 8, &m.Grants)
}

// Recall ends a lease: somebody else asks for the user's permits. Reply: Leased,
// without a lease when the edge has none (any more).
type Recall struct {
	User  string
	Lease uint64
}

func (m *Recall) fields(c *codec) {
	c.string(1, &m.User)
	c.uint(2, &m.Lease)
}

// Leased is a user whose limits are leased, and what was granted under the lease.
type Leased struct {
	User   string
	Lease  uint64
	Grants []Grants
}

func (m *Leased) fields(c *codec) {
	c.string(1, &m.User)
	c.uint(2, &m.Lease)
	repeated(c, 3, &m.Grants)
}

// LeaseSync asks all edges which leases they hold in a shard. Each answers with
// Leases, several when there are many.
type LeaseSync struct{ Shard uint64 }

func (m *LeaseSync) fields(c *codec) { c.uint(1, &m.Shard) }

// Leases are some of what an edge holds in a shard: for a new owner, or given back.
type Leases struct {
	Edge  string
	Shard uint64
	Users []Leased
}

func (m *Leases) fields(c *codec) {
	c.string(1, &m.Edge)
	c.uint(2, &m.Shard)
	repeated(c, 3, &m.Users)
}
