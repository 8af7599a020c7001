// Package quota obtains permits from ratelimit over NATS. The first permit usually comes
// with a lease of the user's limits: then this edge decides alone, and exactly, until
// another edge asks for the same user. While ratelimit does not answer, this edge grants as
// long as it has granted less than half of the limit in the last minute, in whichever way.
// It remembers what it has granted: together the edges are the replica of ratelimit's logs.
package quota

import (
	"cmp"
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
	// Patience is the default time to wait for ratelimit. After it this edge decides.
	Patience = 50 * time.Millisecond
	// Probe is how often a shard that did not answer is tried again.
	Probe = time.Second

	// fallbackIdle is how long Fallback counts a shard that is due for an attempt but gets none,
	// because no permit is requested.
	fallbackIdle = 2 * time.Second
	// localKeys bounds each of the local logs: 100 000 users and actions in a minute take
	// about 30 MB. limit.Table says what happens when one is full.
	localKeys = 100_000
)

// Requester sends requests; *natsconn.Requester implements it.
type Requester interface {
	Do(subject string, hdr nats.Header, data []byte, timeout time.Duration, done natsconn.Done)
}

// Limits are permits per user and minute by action; 0 or missing means unlimited.
type Limits map[wire.Action]int

// Options configure a Quota. All are required but Patience.
type Options struct {
	Edge      string // instance id
	Requester Requester
	Limits    Limits
	Patience  time.Duration // 0 means the constant Patience
	Logger    *slog.Logger
	Now       func() time.Time // time.Now outside tests
}

// Decision is the answer to Take.
type Decision struct {
	OK         bool
	RetryAfter time.Duration // if not OK: how long until a permit is free
	Local      bool          // decided by the local limiter
}

// Stats holds counters since the start.
type Stats struct {
	Asked  uint64 // requests to ratelimit
	Leased uint64 // decided here, under a lease
	Local  uint64 // decided by the local limiter, because ratelimit did not answer
}

// Quota obtains permits. Its methods may be called concurrently.
type Quota struct {
	Options // static

	// shards holds for each shard the time of the next attempt, in Unix nanoseconds, while
	// its owner does not answer; 0 while it does. Atomic.
	shards [subject.Shards]atomic.Int64

	asked, leased, local atomic.Uint64

	mu sync.Mutex // guards the following
	// granted is what this edge granted, except under leases that it holds: by answers of
	// ratelimit, alone, and under leases that have ended. Local decisions count it, and a new
	// owner of the user's limits asks for it. unreported is the part that no owner knows.
	granted, unreported *limit.Table
	latency             wire.Histogram
	leases              leases
}

// New returns a Quota. Leases cannot be recalled before Listen.
func New(o Options) *Quota {
	o.Patience = cmp.Or(o.Patience, Patience)
	return &Quota{Options: o, granted: limit.NewTable(localKeys), unreported: limit.NewTable(localKeys), leases: newLeases()}
}

// Take asks for one permit. done runs exactly once: before Take returns if the action is
// unlimited or decided here, else on the Requester's goroutine.
func (q *Quota) Take(user string, a wire.Action, done func(Decision)) {
	t := take{user, a, q.Limits[a], done}
	if t.limit <= 0 {
		done(Decision{OK: true})
		return
	}
	now := q.Now()
	q.mu.Lock()
	request, d := q.route(t, now)
	q.mu.Unlock()
	switch {
	case request != nil:
		q.ask(t, request, now)
	case d != nil:
		done(*d)
	}
}

// Return returns the newest permit of a user, which turned out not to be needed.
func (q *Quota) Return(user string, a wire.Action) {
	if q.Limits[a] <= 0 {
		return
	}
	now, key := q.Now(), limit.Key{User: user, Action: a}
	q.mu.Lock()
	ownerKnows := false
	if l := q.leases.users[user]; l != nil && now.Before(l.until) {
		q.leases.table.Return(now, key)
	} else {
		q.granted.Return(now, key)
		ownerKnows = !q.unreported.Return(now, key)
	}
	q.mu.Unlock()
	if !ownerKnows {
		return
	}
	shard := subject.Shard(user)
	unused := wire.Leases{Edge: q.Edge, Shard: uint64(shard), Users: []wire.Leased{{User: user, Unused: a}}}
	// The owner sends no answer. If the message is lost, the user has a permit less for a minute.
	q.Requester.Do(subject.Limit(shard, subject.OpReturn), nil, wire.Marshal(&unused), q.Patience, func(*nats.Msg, error) {})
}

// take is one call of Take.
type take struct {
	user   string
	action wire.Action
	limit  int
	done   func(Decision)
}

// route finds out who decides t. It returns a decision made here, or a request to send to
// ratelimit, or neither: then t waits for the request in flight. The caller holds q.mu.
func (q *Quota) route(t take, now time.Time) (*wire.Take, *Decision) {
	l := q.leases.users[t.user]
	switch {
	case l != nil && l.asking:
		l.waiting = append(l.waiting, t)
		return nil, nil
	case l != nil && now.Before(l.until):
		d := q.decideUnderLease(l, t, now)
		return nil, &d
	}
	if l != nil {
		q.keepGrants(l, t.user, now)
	}
	if !q.reachable(subject.Shard(t.user), now) {
		d := q.decideLocally(t, now)
		return nil, &d
	}
	request := &wire.Take{User: t.user, Action: t.action, Edge: q.Edge, Spent: q.unreported.Pack(now, t.user)}
	if l == nil {
		l = q.leases.add(t.user, now)
	} else {
		request.Lease, request.Grants = l.id, q.leases.table.Pack(now, t.user)
	}
	l.asking = true
	return request, nil
}

// ask sends a request. Meanwhile other calls of Take for the same user wait.
func (q *Quota) ask(t take, request *wire.Take, start time.Time) {
	shard := subject.Shard(t.user)
	q.asked.Add(1)
	q.Requester.Do(subject.Limit(shard, subject.OpTake), nil, wire.Marshal(request), q.Patience,
		func(m *nats.Msg, err error) { q.answered(t, shard, start, m, err) })
}

// answered receives ratelimit's answer, and decides what has waited for it.
func (q *Quota) answered(t take, shard int, start time.Time, m *nats.Msg, err error) {
	var taken wire.Taken
	if err == nil {
		if err = wire.Unmarshal(m.Data, &taken); err == nil && taken.Err() != nil {
			err = taken.Err()
		}
	}
	now := q.Now()
	q.noteReachable(shard, err, now)

	q.mu.Lock()
	d := Decision{OK: taken.OK, RetryAfter: time.Duration(taken.RetryAfterMs) * time.Millisecond}
	if err != nil {
		d = q.decideLocally(t, now)
	} else {
		q.latency.Add(now.Sub(start))
		q.unreported.Forget(t.user)   // the request has reported these grants
		if d.OK && taken.Lease == 0 { // with a lease its log has the grant
			q.granted.Take(now, limit.Key{User: t.user, Action: t.action}, t.limit)
		}
	}
	decided, next, request := q.applyAnswer(t.user, &taken, err, start, now)
	q.mu.Unlock()

	t.done(d)
	for _, f := range decided {
		f()
	}
	if request != nil {
		q.ask(next, request, now)
	}
}

// noteReachable records whether the owner of a shard answers.
func (q *Quota) noteReachable(shard int, err error, now time.Time) {
	switch {
	case err != nil:
		if q.shards[shard].Swap(now.Add(Probe).UnixNano()) == 0 {
			q.Logger.Warn("permits are decided locally", "shard", shard, "err", err)
		}
	case q.shards[shard].Swap(0) != 0:
		q.Logger.Info("permits come from ratelimit again", "shard", shard)
	}
}

// Fallback reports whether the local limiter decides for some shard: one that has not
// answered, and was asked lately. Otherwise an idle shard would be in fallback until its
// next permit.
func (q *Quota) Fallback() bool {
	oldest := q.Now().Add(-fallbackIdle).UnixNano()
	for i := range q.shards {
		if q.shards[i].Load() > oldest {
			return true
		}
	}
	return false
}

// Stats returns the counters.
func (q *Quota) Stats() Stats {
	return Stats{Asked: q.asked.Load(), Leased: q.leased.Load(), Local: q.local.Load()}
}

// Latency returns the times that ratelimit took since the start.
func (q *Quota) Latency() (h wire.Histogram) {
	q.mu.Lock()
	defer q.mu.Unlock()
	h.Merge(q.latency)
	return h
}

// reachable reports whether to ask a shard: it answered last time, or it is due for a
// probe, and the caller's request is that probe.
func (q *Quota) reachable(shard int, now time.Time) bool {
	until := q.shards[shard].Load()
	return until == 0 || now.UnixNano() >= until && q.shards[shard].CompareAndSwap(until, now.Add(Probe).UnixNano())
}

// decideLocally grants a permit if this edge has granted less than half of the limit,
// rounded up, in the last minute. However often ratelimit is away, a user gets at most that
// on top of the limit from each edge. The caller holds q.mu.
func (q *Quota) decideLocally(t take, now time.Time) Decision {
	q.local.Add(1)
	d := q.decide(q.granted, t, (t.limit+1)/2, now)
	if d.Local = true; d.OK {
		q.unreported.Take(now, limit.Key{User: t.user, Action: t.action}, t.limit)
	}
	return d
}

func (q *Quota) decide(table *limit.Table, t take, most int, now time.Time) Decision {
	ok, after := table.Take(now, limit.Key{User: t.user, Action: t.action}, most)
	return Decision{OK: ok, RetryAfter: after}
}
