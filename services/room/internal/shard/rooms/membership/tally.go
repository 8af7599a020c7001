package membership

import (
	"unique"

	"github.com/confab-chat/confab/proto/wire"
)

// Tally sums up what each edge holds in a shard, to be compared with what the edge says. It
// must be used on its shard's goroutine.
type Tally struct {
	sums map[unique.Handle[Edge]]wire.Sum
}

// NewTally returns a tally of nothing.
func NewTally() *Tally { return &Tally{sums: make(map[unique.Handle[Edge]]wire.Sum)} }

// Of returns the sum of what e holds.
func (t *Tally) Of(e Edge) wire.Sum { return t.sums[unique.Make(e)] }

// Add counts s, which e holds from now on.
func (t *Tally) Add(e unique.Handle[Edge], s wire.Sum) {
	sum := t.sums[e]
	sum.Add(s)
	t.sums[e] = sum
}

// Remove counts s, which e does not hold any more.
func (t *Tally) Remove(e unique.Handle[Edge], s wire.Sum) {
	sum := t.sums[e]
	if sum.Remove(s); sum.Count == 0 {
		delete(t.sums, e)
		return
	}
	t.sums[e] = sum
}
