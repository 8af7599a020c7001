package listen

import (
	"net/netip"
	"sync"

	"golang.org/x/time/rate"
)

// newRate returns the limit of upgrades, which all loops share.
func newRate(perSecond float64, burst int) *rate.Limiter {
	if perSecond <= 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(perSecond), burst)
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
