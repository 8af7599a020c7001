package conn

import (
	"slices"
	"sync/atomic"

	"github.com/confab-chat/confab/proto/code"
)

// Stats counts what the connections of one loop do. The edge gives each loop
// its own, so that loops do not share cache lines, and adds them up for its meter. Only
// the loop writes; any goroutine may read.
type Stats struct {
	Open     atomic.Int64  // connections now
	Queued   atomic.Int64  // bytes that clients do not read
	Opened   atomic.Uint64 // connections ever
	BytesIn  atomic.Uint64
	BytesOut atomic.Uint64
	Messages atomic.Uint64 // received
	Pongs    atomic.Uint64 // received
	Slow     atomic.Uint64 // connections closed as slow consumers
	Panics   atomic.Uint64 // in handlers

	DroppedTyping   atomic.Uint64 // payloads
	DroppedPresence atomic.Uint64 // payloads

	ByCode [len(closeCodes) + 1]atomic.Uint64 // connections ended; see CloseCodes
}

// closeCodes are the codes with a counter of their own. The last element of Stats.ByCode
// counts all others, so that a client cannot create metric labels.
var closeCodes = [...]code.Close{
	1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 1012,
	4000, 4001, 4002, 4004, 4500, 4501, 4502, 4503, 4504,
}

// CloseCodes returns the codes that Stats.ByCode counts, by index. One more element
// counts the others.
func CloseCodes() []code.Close { return slices.Clone(closeCodes[:]) }

func (s *Stats) closed(c Cause) {
	s.Open.Add(-1)
	i := slices.Index(closeCodes[:], c.Code)
	if i < 0 {
		i = len(closeCodes)
	}
	s.ByCode[i].Add(1)
}

func (s *Stats) dropped(c Class, n int) {
	switch c {
	case Typing:
		s.DroppedTyping.Add(uint64(n))
	case Presence:
		s.DroppedPresence.Add(uint64(n))
	}
}
