// Package quota gets permits: from ratelimit over NATS, and from a stricter local
// limiter while ratelimit does not answer. A user's limits hold over all edges;
// only in the second case over this edge alone, at half the limit.
package quota

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/limit"
	"github.com/confab-chat/confab/shared/natsconn"
)

const (
	// Patience is how long a permit may take; after it this edge decides.
	Patience = 50 * time.Millisecond
	// Probe is how often a shard that did not answer is asked again.
	Probe = time.Second
	// localKeys bounds the local limiter: 100 000 users and actions in a minute are
	// about 30 MB. When it is full, see limit.Table.
	localKeys = 100_000
)

// Requester is the part of natsconn.Requester that is needed.
type Requester interface {
	Do(subject string, hdr nats.Header, data []byte, timeout time.Duration, done natsconn.Done)
}

// Limits are permits per user and minute by action; 0 or missing means unlimited.
type Limits map[wire.Action]int

// Decision is the answer to Take.
type Decision struct {
	OK         bool
	RetryAfter time.Duration // when not OK: after this long one is free again
	Local      bool          // decided here, because ratelimit did not answer
}

// Stats counts since the start.
type Stats struct {
	Asked  uint64 // requests to ratelimit
	Denied uint64 // refusals, local ones too
	Local  uint64 // decided here
}

// Quota gets permits. Its methods may be called concurrently.
type Quota struct {
	// Static after construction.
	req    Requester
	limits Limits
	log    *slog.Logger
	now    func() time.Time

	// shards say per permit shard until when it is left in peace, in Unix
	// nanoseconds; 0: it answers. Atomic.
	shards [subject.Shards]atomic.Int64

	asked, denied, local atomic.Uint64

	mu      sync.Mutex // guards the following
	table   *limit.Table
	latency wire.Histogram
}

// New returns a Quota that asks through r. now is the clock, time.Now outside tests.
func New(r Requester, l Limits, log *slog.Logger, now func() time.Time) *Quota {
	return &Quota{req: r, limits: l, log: log, now: now, table: limit.NewTable(localKeys)}
}

// Take asks for one permit. done runs exactly once: before Take returns when the
// action is unlimited or decided here, else on the Requester's goroutine.
func (q *Quota) Take(user string, a wire.Action, done func(Decision)) {
	most := q.limits[a]
	if most <= 0 {
		done(Decision{OK: true})
		return
	}
	shard := subject.Shard(user)
	start := q.now()
	if !q.reachable(shard, start) {
		done(q.decide(user, a, most, start))
		return
	}
	q.asked.Add(1)
	q.req.Do(subject.Limit(shard, subject.OpTake), nil, wire.Marshal(&wire.Take{User: user, Action: a}), Patience,
		func(m *nats.Msg, err error) { done(q.answered(shard, user, a, most, start, m, err)) })
}

// Fallback tells whether some permits are decided here now.
func (q *Quota) Fallback() bool {
	for i := range q.shards {
		if q.shards[i].Load() != 0 {
			return true
		}
	}
	return false
}

// Stats returns the counters.
func (q *Quota) Stats() Stats {
	return Stats{Asked: q.asked.Load(), Denied: q.denied.Load(), Local: q.local.Load()}
}

// Latency returns how long permits from ratelimit took, and begins anew.
func (q *Quota) Latency() wire.Histogram {
	q.mu.Lock()
	defer q.mu.Unlock()
	h := q.latency
	q.latency = wire.Histogram{}
	return h
}

// reachable tells whether to ask a shard: it answered last time, or it is due for
// a probe, which the caller then is.
func (q *Quota) reachable(shard int, now time.Time) bool {
	until := q.shards[shard].Load()
	return until == 0 || now.UnixNano() >= until && q.shards[shard].CompareAndSwap(until, now.Add(Probe).UnixNano())
}

func (q *Quota) answered(shard int, user string, a wire.Action, most int, start time.Time, m *nats.Msg, err error) Decision {
	var t wire.Taken
	if err == nil {
		if err = wire.Unmarshal(m.Data, &t); err == nil && t.Err() != nil {
			err = t.Err()
		}
	}
	now := q.now()
	if err != nil {
		if q.shards[shard].Swap(now.Add(Probe).UnixNano()) == 0 {
			q.log.Warn("permits are decided locally", "shard", shard, "err", err)
		}
		return q.decide(user, a, most, now)
	}
	if q.shards[shard].Swap(0) != 0 {
		q.log.Info("permits come from ratelimit again", "shard", shard)
	}
	q.mu.Lock()
	q.latency.Add(now.Sub(start))
	q.mu.Unlock()
	if !t.OK {
		q.denied.Add(1)
	}
	return Decision{OK: t.OK, RetryAfter: time.Duration(t.RetryAfterMs) * time.Millisecond}
}

// decide grants at most half the limit, rounded up: two edges that are both on
// their own then still hold the limit together.
func (q *Quota) decide(user string, a wire.Action, most int, now time.Time) Decision {
	q.local.Add(1)
	q.mu.Lock()
	ok, after := q.table.Take(now, limit.Key{User: user, Action: a}, (most+1)/2)
	q.mu.Unlock()
	if !ok {
		q.denied.Add(1)
	}
	return Decision{OK: ok, RetryAfter: after, Local: true}
}
