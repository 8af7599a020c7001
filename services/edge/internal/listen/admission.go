package listen

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// bucket is a token bucket shared by all loops: one number, the time at which the
// bucket would be full again (GCRA), moved by compare-and-swap.
type bucket struct {
	every time.Duration // one token; 0: no limit
	depth time.Duration // all tokens
	full  *atomic.Int64 // unix nanoseconds
}

func newBucket(rate float64, burst int) bucket {
	if rate <= 0 {
		return bucket{}
	}
	every := time.Duration(float64(time.Second) / rate)
	return bucket{every: every, depth: every * time.Duration(burst), full: new(atomic.Int64)}
}

// takeToken reports whether a token was left, and takes it.
func (b bucket) takeToken(now time.Time) bool {
	if b.every == 0 {
		return true
	}
	for t := now.UnixNano(); ; {
		old := b.full.Load()
		next := max(old, t) + int64(b.every)
		if next-t > int64(b.depth) {
			return false
		}
		if b.full.CompareAndSwap(old, next) {
			return true
		}
	}
}

// addresses counts connections by network. A nil *addresses allows everything.
type addresses struct {
	limits PerIP

	mu    sync.Mutex // guards the following
	count map[netip.Prefix]tally
}

type tally struct{ pending, open int }

func newAddresses(l PerIP) *addresses {
	return &addresses{limits: l, count: make(map[netip.Prefix]tally)}
}

// network returns what one customer of a provider has: an IPv4 address, an IPv6 /64.
func network(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // it fails for the zero address only, whose prefix is zero
	return p
}

// add changes the counts and reports true, unless that would exceed a limit.
func (c *addresses) add(a netip.Addr, pending, open int) bool {
	if c == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := network(a)
	t := c.count[n]
	t.pending += pending
	t.open += open
	if pending > 0 && c.limits.Pending > 0 && t.pending > c.limits.Pending ||
		open > 0 && c.limits.Connections > 0 && t.open > c.limits.Connections {
		return false
	}
	if t == (tally{}) {
		delete(c.count, n)
	} else {
		c.count[n] = t
	}
	return true
}

func (c *addresses) addPending(a netip.Addr) bool { return c.add(a, 1, 0) }
func (c *addresses) removePending(a netip.Addr)   { c.add(a, -1, 0) }
func (c *addresses) addOpen(a netip.Addr) bool    { return c.add(a, 0, 1) }
func (c *addresses) removeOpen(a netip.Addr)      { c.add(a, 0, -1) }
