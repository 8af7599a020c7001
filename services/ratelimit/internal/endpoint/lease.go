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
)

// A user's first request brings the edge that asks a lease: it decides by itself
// from then on, exactly, because it has the log. When another edge asks for the
// same user, the lease is recalled, with the log, and for a window everybody asks.
const (
	// recallWait is how long an edge may take to give a lease back: the one that
	// asks has waited then, and decides by itself after 50 ms.
	recallWait = 30 * time.Millisecond

	// recallEvery is how often an edge that did not answer is asked again. Until its
	// lease is over, the others share a third of the limit.
	recallEvery = time.Second

	// syncWait is how long a new owner gives no leases: edges say meanwhile which
	// they have.
	syncWait = 500 * time.Millisecond
)

// errBusy is what the next one hears when many wait for a lease to come back.
var errBusy = code.New(code.Unavailable, "too many requests for the permits of this user")

// decide answers take in taken; false: later, when the lease is back.
func (e *Endpoint) decide(s *shard, m *nats.Msg, take *wire.Take, permits int, taken *wire.Taken) bool {
	now := time.Now()
	h := s.holders.of(take.User)
	if h == nil { // too many are known: this one is given no lease
		h = &holder{edge: take.Edge, mixed: now}
	}
	switch {
	case h.recall:
		if len(h.waiting) >= maxHeldBack {
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
		permits = (permits + 2) / 3 // 0 stays 0: unlimited
	case h.edge != take.Edge:
		if h.edge != "" {
			h.mixed = now
		}
		h.edge, h.lease = take.Edge, 0
	}
	if h.edge == take.Edge && take.Lease != 0 && (h.lease == take.Lease || h.lease == 0 && h.alone(now)) {
		s.table.Unpack(now, take.User, take.Grants)
	}
	s.table.Add(now, take.User, take.Spent)
	e.permit(s, now, take, permits, taken)
	if h.edge == take.Edge && take.Edge != "" && h.alone(now) && now.Sub(s.begun) >= syncWait {
		e.counters.leases.Add(1)
		e.lease++
		h.lease, h.until = e.lease, now.Add(LeaseFor)
		taken.Lease, taken.LeaseMs = h.lease, uint64(LeaseFor/time.Millisecond)
		taken.Grants = s.table.Pack(now, take.User)
	}
	return true
}

// recall asks an edge for a lease. What is asked for the user meanwhile waits.
func (e *Endpoint) recall(s *shard, h *holder, user string, now time.Time) {
	e.counters.recalls.Add(1)
	h.recall, h.recalled = true, now
	request := wire.Marshal(&wire.Recall{User: user, Lease: h.lease})
	e.req.Do(subject.EdgeRecall(h.edge), nil, request, recallWait, func(m *nats.Msg, err error) {
		back := func() { e.back(s, h, user, m, err) }
		switch {
		case errors.Is(err, nats.ErrTimeout): // on the Requester's goroutine
			select {
			case e.control <- back:
			case <-e.done:
			}
		case errors.Is(err, nats.ErrConnectionClosed): // we stop
		default:
			back()
		}
	})
}

// back takes the answer to a recall. An edge that is gone has taken its log along:
// what was known when the lease began is all there is. One that does not answer
// keeps the lease.
func (e *Endpoint) back(s *shard, h *holder, user string, m *nats.Msg, err error) {
	h.recall = false
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
		h.lease, h.mixed = 0, now
	} else {
		e.counters.unheard.Add(1)
	}
	for _, m := range waiting {
		e.answer(m)
	}
}

// askLeases asks all edges what they hold in a shard.
func (e *Endpoint) askLeases(shard int) {
	request := wire.Marshal(&wire.LeaseSync{Shard: uint64(shard)})
	if err := e.nc.PublishRequest(subject.EdgesLeases, e.inbox+strconv.Itoa(shard), request); err != nil {
		e.log.Debug("leases not asked for", "shard", shard, "err", err)
	}
}

// claimed takes what an edge holds in a shard that is newly ours. Of two edges that
// claim a user the second loses its lease: the next permit is asked for again.
func (e *Endpoint) claimed(m *nats.Msg) {
	leases, s := e.leases(m)
	if s == nil {
		return
	}
	now := time.Now()
	for i := range leases.Users {
		u := &leases.Users[i]
		switch h := s.holders.of(u.User); {
		case h == nil || h.leased(now) && h.edge != leases.Edge:
			recall := wire.Marshal(&wire.Recall{User: u.User, Lease: u.Lease})
			if err := e.nc.Publish(subject.EdgeRecall(leases.Edge), recall); err != nil {
				e.counters.unsent.Add(1)
			}
		default:
			e.counters.claims.Add(1)
			h.edge, h.lease, h.until = leases.Edge, u.Lease, now.Add(LeaseFor)
			s.table.Unpack(now, u.User, u.Grants)
		}
	}
}

// returned takes leases that an edge gives back.
func (e *Endpoint) returned(m *nats.Msg) {
	leases, s := e.leases(m)
	if s == nil {
		return
	}
	now := time.Now()
	for i := range leases.Users {
		u := &leases.Users[i]
		if h := s.holders.of(u.User); h != nil && h.edge == leases.Edge && h.lease == u.Lease {
			h.lease, h.edge = 0, "" // whoever comes next may have it
			s.table.Unpack(now, u.User, u.Grants)
		}
	}
}

// leases decodes m, and finds the shard that it is about; nil when it is not ours.
func (e *Endpoint) leases(m *nats.Msg) (*wire.Leases, *shard) {
	if len(m.Data) == 0 && strings.HasPrefix(m.Subject, e.inbox) {
		return nil, nil // there are no edges
	}
	var l wire.Leases
	if err := wire.Unmarshal(m.Data, &l); err != nil {
		e.counters.malformed.Add(1)
		return nil, nil
	}
	for _, s := range e.owned {
		if uint64(s.number) == l.Shard {
			return &l, s
		}
	}
	return nil, nil
}
