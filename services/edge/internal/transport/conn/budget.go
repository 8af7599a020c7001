package conn

import (
	"math"
	"runtime/debug"
	"sync/atomic"
)

// Budget bounds what all clients of a process together have not taken: each may have
// its queue full, and there may be many. When it is used up, a client that is behind
// and is sent more is given up as a slow consumer, whatever its own queue holds.
// Safe for concurrent use; a nil Budget is unlimited.
type Budget struct {
	limit int64 // static
	used  atomic.Int64
}

// NewBudget returns a budget of so many bytes; 0 is a quarter of GOMEMLIMIT, and
// without that unlimited.
func NewBudget(bytes int64) *Budget {
	if bytes == 0 {
		memory := debug.SetMemoryLimit(-1) // asks
		if memory == math.MaxInt64 {
			return nil
		}
		bytes = memory / 4
	}
	return &Budget{limit: bytes}
}

// Utilization is the part of the budget that is used, 0 of an unlimited one.
func (b *Budget) Utilization() float64 {
	if b == nil {
		return 0
	}
	return float64(b.used.Load()) / float64(b.limit)
}

func (b *Budget) add(n int64) {
	if b != nil {
		b.used.Add(n)
	}
}

func (b *Budget) over() bool { return b != nil && b.used.Load() > b.limit }
