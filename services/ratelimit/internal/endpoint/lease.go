package endpoint

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/limit"
)

// The first edge that requests permits for a user gets a lease: from then on it decides
// locally, exactly, because it has the log. When another edge requests permits for the same
// user, the lease is recalled, with the log, and for a window all edges send requests.
const (
	// recallWait is how long an edge may take to return a lease. The edge that asks waits
	// meanwhile, and decides locally after 50 ms.
	recallWait = 30 * time.Millisecond

	// recallEvery is how often an edge that did not answer is asked again. Until its lease
	// ends, the other edges share a third of the limit.
	recallEvery = time.Second

	// syncWait is how long a new owner grants no leases: meanwhile edges report theirs.
	syncWait = 500 * time.Millisecond

	// gatherWait is how long requests to a new owner wait for what edges have granted: less
	// than edges wait for an answer. What arrives later still counts.
	gatherWait = 30 * time.Millisecond

	// maxGatherWaiters bounds the requests that wait in one shard. Beyond it they are decided
	// with what is known.
	maxGatherWaiters = 1024
)

// errBusy refuses a request when too many wait for the same recall.
var errBusy = code.New(code.Unavailable, "too many requests for the permits of this user")

// decide answers take in taken. It returns false if the request waits for a recall.
func (e *Endpoint) decide(s *shard, m *nats.Msg, take *wire.Take, permits int, taken *wire.Taken) bool {
	now := time.Now()
	h := s.holders.of(take.User)
	if h == nil { // too many holders: no lease for this one
		h = &holder{edge: take.Edge, sharedAt: now}
	}
	switch {
	case h.recalling:
		if len(h.waiting) >= maxRecallWaiters {
			taken.Fault = wire.FaultOf(errBusy)
			return true
		}
		h.waiting = append(h.waiting, m)
		return false
	case h.edge != take.Edge && h.leased(now):
		if now.Sub(h.recalled) >= recallEvery {
			h.waiting = append(h.waiting, m)
			e.recall(s, h, take.User, now)
			return false
		}
		permits = (permits + 2) / 3 // 0 stays 0, which means unlimited
	case h.edge != take.Edge:
		h.asks(take.Edge, now)
		h.lease = 0
	}
	if h.edge == take.Edge && take.Lease != 0 && (h.lease == take.Lease || h.lease == 0 && h.exclusive(now)) {
		s.table.Unpack(now, take.User, take.Grants)
	}
	s.table.Add(now, take.User, take.Spent)
	e.takePermit(s, now, take, permits, taken)
	if h.edge == take.Edge && take.Edge != "" && h.exclusive(now) && now.Sub(s.begun) >= syncWait {
		e.counters.leases.Add(1)
		e.lease++
		h.lease, h.until = e.lease, now.Add(LeaseFor)
		taken.Lease, taken.LeaseMs = h.lease, uint64(LeaseFor/time.Millisecond)
		taken.Grants = s.table.Pack(now, take.User)
	}
	return true
}

// recall asks an edge to return a lease. Meanwhile requests for the user wait.
func (e *Endpoint) recall(s *shard, h *holder, user string, now time.Time) {
	e.counters.recalls.Add(1)
	h.recalling, h.recalled = true, now
	request := wire.Marshal(&wire.Recall{User: user, Lease: h.lease})
	e.req.Do(subject.EdgeRecall(h.edge), nil, request, recallWait, func(m *nats.Msg, err error) {
		apply := func() { e.applyRecall(s, h, user, m, err) }
		switch {
		case errors.Is(err, nats.ErrTimeout): // on the Requester's goroutine
			e.mailbox.Post(apply)
		case errors.Is(err, nats.ErrConnectionClosed): // the endpoint stops
		default:
			apply()
		}
	})
}

// applyRecall receives the answer to a recall. The log of an edge that is gone is lost:
// only what was known when the lease began counts. An edge that does not answer keeps the
// lease.
func (e *Endpoint) applyRecall(s *shard, h *holder, user string, m *nats.Msg, err error) {
	h.recalling = false
	waiting := h.waiting
	h.waiting = nil
	var leased wire.Leased
	if err == nil {
		err = wire.Unmarshal(m.Data, &leased)
	}
	now := time.Now()
	if err == nil && leased.Lease != 0 {
		s.table.Unpack(now, user, leased.Grants)
	}
	if err == nil || errors.Is(err, nats.ErrNoResponders) {
		h.lease, h.sharedAt = 0, now
	} else {
		e.counters.unanswered.Add(1)
	}
	for _, m := range waiting {
		e.answer(m)
	}
}

// askLeases asks all edges for the leases that they hold in a shard.
func (e *Endpoint) askLeases(shard int) {
	request := wire.Marshal(&wire.LeaseSync{Shard: uint64(shard)})
	if err := e.nc.PublishRequest(subject.EdgesLeases, e.inbox+strconv.Itoa(shard), request); err != nil {
		e.log.Debug("leases not requested", "shard", shard, "err", err)
	}
}

// onClaim receives the leases that an edge holds in a newly acquired shard, and what it has
// granted to users without one. If two edges claim a user, the second loses its lease.
func (e *Endpoint) onClaim(m *nats.Msg) {
	leases, s := e.leases(m)
	if s == nil {
		return
	}
	now := time.Now()
	for i := range leases.Users {
		u := &leases.Users[i]
		switch h := s.holders.of(u.User); {
		case u.Lease == 0:
			if h != nil && !h.leased(now) {
				h.asks(leases.Edge, now)
			}
			s.table.Add(now, u.User, u.Grants)
		case h == nil || h.leased(now) && h.edge != leases.Edge:
			recall := wire.Marshal(&wire.Recall{User: u.User, Lease: u.Lease})
			if err := e.nc.Publish(subject.EdgeRecall(leases.Edge), recall); err != nil {
				e.counters.unsent.Add(1)
			}
		default:
			e.counters.claims.Add(1)
			if h.lease != u.Lease { // its own request may have come first
				s.table.Add(now, u.User, u.Grants)
			}
			h.edge, h.lease, h.until = leases.Edge, u.Lease, now.Add(LeaseFor)
		}
	}
}

// onReturn receives leases that an edge returns, what it granted while no owner answered, and
// permits that were not needed.
func (e *Endpoint) onReturn(m *nats.Msg) {
	leases, s := e.leases(m)
	if s == nil {
		return
	}
	now := time.Now()
	for i := range leases.Users {
		u := &leases.Users[i]
		switch h := s.holders.of(u.User); {
		case u.Unused != 0:
			s.table.Return(now, limit.Key{User: u.User, Action: u.Unused})
		case u.Lease == 0: // granted while no owner answered
			s.table.Add(now, u.User, u.Grants)
		case h != nil && h.edge == leases.Edge && h.lease == u.Lease:
			h.lease, h.edge = 0, "" // the next edge may have it
			s.table.Unpack(now, u.User, u.Grants)
		}
	}
}

// leases decodes m and finds its shard, nil if this instance does not own it.
func (e *Endpoint) leases(m *nats.Msg) (*wire.Leases, *shard) {
	if len(m.Data) == 0 && strings.HasPrefix(m.Subject, e.inbox) {
		return nil, nil // no edge answers
	}
	var l wire.Leases
	if err := wire.Unmarshal(m.Data, &l); err != nil {
		e.counters.malformed.Add(1)
		return nil, nil
	}
	for _, s := range e.owned {
		if uint64(s.lease.Shard) == l.Shard {
			return &l, s
		}
	}
	return nil, nil
}
