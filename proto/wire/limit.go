package wire

// Action is what a permit is for; each has its own limit.
type Action uint64

const (
	ActionMessage Action = 1
	ActionJoin    Action = 2
	ActionTyping  Action = 3
	ActionResume  Action = 4 // joinRoom with since: its own limit of 100 a minute
)

// Take asks for one permit. Reply: Taken.
type Take struct {
	User   string
	Action Action
}

func (m *Take) fields(c *codec) {
	c.string(1, &m.User)
	c.uint(2, (*uint64)(&m.Action))
}

// Taken answers Take.
type Taken struct {
	Fault
	OK           bool
	RetryAfterMs uint64 // when not OK: after this long one permit is free again
}

func (m *Taken) fields(c *codec) {
	m.fault(c)
	c.bool(4, &m.OK)
	c.uint(5, &m.RetryAfterMs)
}
