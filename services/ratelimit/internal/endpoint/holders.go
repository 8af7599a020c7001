package endpoint

import (
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/shared/limit"
)

// maxHolders bounds the holders of one shard. Beyond it no new lease is given.
const maxHolders = 1 << 16

// maxRecallWaiters bounds the requests that wait for the recall of one user's lease.
const maxRecallWaiters = 64

// holder is the edge that asked last for a user's permits, and its lease if it has one.
type holder struct {
	edge      string
	lease     uint64    // id of the edge's lease; 0 means none
	until     time.Time // when the lease ends
	sharedAt  time.Time // when another edge was last involved
	recalled  time.Time // when the last recall was sent
	recalling bool      // a recall is in flight
	waiting   []*nats.Msg
}

// leased reports whether the edge holds a valid lease.
func (h *holder) leased(now time.Time) bool { return h.lease != 0 && now.Before(h.until) }

// asks notes that an edge asks for the user's permits.
func (h *holder) asks(edge string, now time.Time) {
	if h.edge != "" && h.edge != edge {
		h.sharedAt = now
	}
	h.edge = edge
}

// exclusive reports whether no other edge has asked within the last window.
func (h *holder) exclusive(now time.Time) bool { return now.Sub(h.sharedAt) >= limit.Window }

// holders keeps holders in two generations. A user that has not asked for a whole LeaseFor
// has no lease any more, and is dropped with the old generation, without a search.
type holders struct {
	young, old map[string]*holder
	turned     time.Time
}

// of returns the user's holder, a new one if there is none; nil if there are too many.
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

// sweep starts a new generation every LeaseFor.
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
