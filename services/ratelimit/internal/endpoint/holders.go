package endpoint

import (
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/shared/limit"
)

// maxHolders bounds the users of one shard of whom is known which edge asked last.
// Beyond it nobody is given a lease.
const maxHolders = 1 << 16

// maxHeldBack bounds the requests that wait for one user's lease to come back.
const maxHeldBack = 64

// holder says which edge asks for a user's permits, and whether it decides by itself.
type holder struct {
	edge     string
	lease    uint64    // that edge has; 0: none
	until    time.Time // of the lease, as far as the edge is concerned
	mixed    time.Time // when it was another edge's turn last
	recalled time.Time // when the lease was asked back last
	recall   bool      // that is under way
	waiting  []*nats.Msg
}

// leased tells whether the edge decides by itself.
func (h *holder) leased(now time.Time) bool { return h.lease != 0 && now.Before(h.until) }

// alone tells whether only this edge has asked within the last window.
func (h *holder) alone(now time.Time) bool { return now.Sub(h.mixed) >= limit.Window }

// holders are in two generations, so that who has not asked for a whole LeaseFor,
// and so has no lease any more, goes without being looked for.
type holders struct {
	young, old map[string]*holder
	turned     time.Time
}

// of returns the user's holder, a new one if need be; nil when there are too many.
func (hs *holders) of(user string) *holder {
	if h := hs.young[user]; h != nil {
		return h
	}
	h := hs.old[user]
	switch {
	case h != nil:
		delete(hs.old, user)
	case len(hs.young) >= maxHolders:
		return nil
	default:
		h = &holder{}
	}
	if hs.young == nil {
		hs.young = make(map[string]*holder)
	}
	hs.young[user] = h
	return h
}

// sweep begins a new generation when it is time.
func (hs *holders) sweep(now time.Time) {
	if hs.turned.IsZero() {
		hs.turned = now
	}
	if now.Sub(hs.turned) < LeaseFor {
		return
	}
	hs.turned = now
	hs.old, hs.young = hs.young, nil
}
