package lease

import "fmt"

// Verb is the kind of an Action.
type Verb uint8

// Publications; Claim, Renew and Drop are to be answered by [Table.Acked],
// [Table.Refused], [Table.Failed] or [Table.NoStream] with the Op of the action.
const (
	Announce Verb = iota // put this instance's key, with the TTL
	Withdraw             // end this instance's key
	Claim                // put the shard's key if its revision is Expect (0: none), with the TTL
	Renew                // the same, naming Epoch
	Drop                 // end the shard's key if its revision is Expect
)

// Calls.
const (
	Start   Verb = iota + Drop + 1 // call Acquire, then Started
	End                            // end the context of the lease
	Stop                           // call Release, then Stopped
	Rewatch                        // the watch is stale: begin a new one
)

func (v Verb) String() string {
	names := [...]string{"announce", "withdraw", "claim", "renew", "drop", "start", "end", "stop", "rewatch"}
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("verb %d", uint8(v))
}

// Action is one thing to do. Actions must be carried out in the order given.
type Action struct {
	Verb   Verb
	Shard  int
	Op     uint64
	Expect uint64
	Epoch  uint64
}

func (t *Table) do(a Action) { t.actions = append(t.actions, a) }
