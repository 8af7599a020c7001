// Package endpoint is the NATS side of ratelimit: it answers requests for
// permits on the shards that this instance owns.
package endpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/ratelimit/internal/policy"
	"github.com/confab-chat/confab/shared/limit"
	"github.com/confab-chat/confab/shared/mailbox"
	"github.com/confab-chat/confab/shared/natsconn"
	"github.com/confab-chat/confab/shared/partition"
)

const (
	// maxWaiting bounds the requests that wait: 50 ms of work, as long as an edge waits for
	// an answer. Beyond it NATS drops the newest and counts them.
	maxWaiting = 8192

	// maxKeys bounds the keys of one shard. 64 full shards at 300 B a key take 1.2 GB: a
	// million users that use every action at once. limit.Table says what happens when it
	// is full.
	maxKeys = 1 << 16

	// Every sweepEvery, sweepKeys keys of each shard are checked: a full shard takes a
	// minute.
	sweepEvery = time.Second
	sweepKeys  = maxKeys / 60

	// LeaseFor is how long an edge decides alone for a user, before it asks again and
	// reports what it has granted.
	LeaseFor = 5 * time.Minute

	// maxUser bounds a user id, in bytes.
	maxUser = 128
)

// ErrClosed means that the endpoint has stopped.
var ErrClosed = errors.New("the permit endpoint has stopped")

// Endpoint grants permits. One goroutine, that of Run, owns every log, so nothing needs a
// lock. It is the simplest design that was measured, and no slower: on two cores, a
// callback per shard, or two or four goroutines with a lock per shard, were within the
// noise at 1 and 64 requests in flight; at 512, callbacks were a tenth slower and more
// goroutines 2 % faster. It implements [partition.Holder].
type Endpoint struct {
	// Static.
	nc     *nats.Conn
	limits policy.Limits
	log    *slog.Logger
	req    *natsconn.Requester
	inbox  string // prefix of the subjects on which edges claim leases; the shard follows

	msgs    chan *nats.Msg   // to Run; never closed, because NATS sends on it
	mailbox *mailbox.Mailbox // of Run; bounded by the shards and the recalls in flight

	// Owned by Run.
	owned map[*nats.Subscription]*shard
	syncs *nats.Subscription // on inbox
	lease uint64             // id of the last one
	out   reply

	counters counters // written by Run, read by any goroutine
	mu       sync.Mutex
	load     wire.LimitLoad // guarded by mu; as of the last change or sweep
}

// shard holds one shard's logs, and which edges decide for its users.
type shard struct {
	lease   partition.Lease
	sub     *nats.Subscription
	table   *limit.Table
	holders holders
	begun   time.Time
	gather  *time.Timer // ends the time for which requests wait
	waiting []*nats.Msg // requests that came before then; nil afterwards
	evicted uint64      // of table, as counted so far
}

// reply is the scratch space of one answer.
type reply struct {
	take  wire.Take
	taken wire.Taken
	buf   []byte
}

// New returns an endpoint. It answers nothing before Run.
func New(nc *nats.Conn, limits policy.Limits, log *slog.Logger) (*Endpoint, error) {
	e := &Endpoint{
		nc: nc, limits: limits, log: log,
		msgs:    make(chan *nats.Msg, maxWaiting),
		mailbox: mailbox.New(),
		owned:   make(map[*nats.Subscription]*shard),
		inbox:   nc.NewInbox() + ".",
		lease:   uint64(time.Now().UnixNano()), // above those of any earlier owner
	}
	var err error
	if e.req, err = natsconn.NewRequester(nc, e.msgs); err == nil {
		e.syncs, err = nc.ChanSubscribe(e.inbox+"*", e.msgs)
	}
	if err != nil {
		return nil, fmt.Errorf("make the permit endpoint: %w", err)
	}
	return e, nil
}

// Run answers until ctx ends. It runs once.
func (e *Endpoint) Run(ctx context.Context) error {
	var requests sync.WaitGroup
	defer requests.Wait()
	requests.Go(func() { e.req.Run(ctx) })
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case m := <-e.msgs:
			e.dispatch(m)
			for range len(e.msgs) { // what waits already needs no select
				e.dispatch(<-e.msgs)
			}
		case <-e.mailbox.C():
			e.mailbox.Run()
		case now := <-sweep.C:
			for _, s := range e.owned {
				s.table.Sweep(now, sweepKeys)
				s.holders.sweep(now)
			}
			e.updateLoad()
		case <-ctx.Done():
			e.mailbox.Close()
			e.mailbox.Run()
			for sub := range e.owned {
				e.dropShard(sub)
			}
			e.unsubscribe(e.syncs)
			return nil
		}
	}
}

// Acquire starts answering for a shard. It asks the edges for everything that they have
// granted to its users, so that a restart forgives nothing.
func (e *Endpoint) Acquire(ctx context.Context, l partition.Lease) error {
	result := make(chan error, 1)
	if !e.mailbox.Post(func() { result <- e.acquire(l) }) {
		return ErrClosed
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done(): // Run may still acquire the shard
		e.mailbox.Post(func() { e.release(l.Shard) })
		return ctx.Err()
	}
}

func (e *Endpoint) acquire(l partition.Lease) error {
	sub, err := e.nc.ChanQueueSubscribe(subject.Limits(l.Shard), subject.QueueLimit, e.msgs)
	if err != nil {
		return fmt.Errorf("subscribe to permits of shard %d: %w", l.Shard, err)
	}
	s := &shard{lease: l, sub: sub, table: limit.NewTable(maxKeys), begun: time.Now(), waiting: []*nats.Msg{}}
	s.gather = time.AfterFunc(gatherWait, func() { e.mailbox.Post(func() { e.endGather(s) }) })
	e.owned[sub] = s
	e.askLeases(l.Shard)
	e.updateLoad()
	return nil
}

// endGather answers the requests that have waited for the edges' logs.
func (e *Endpoint) endGather(s *shard) {
	waiting := s.waiting
	s.waiting = nil
	for _, m := range waiting {
		e.answer(m)
	}
}

// Release stops answering for a shard and forgets its logs: the edges have them.
func (e *Endpoint) Release(number int) {
	released := make(chan struct{})
	if e.mailbox.Post(func() { e.release(number); close(released) }) {
		<-released
	}
}

func (e *Endpoint) release(number int) {
	for sub, s := range e.owned {
		if s.lease.Shard == number {
			e.dropShard(sub)
		}
	}
	e.updateLoad()
}

// dropShard unsubscribes a shard. Requests that wait already are refused.
func (e *Endpoint) dropShard(sub *nats.Subscription) {
	s := e.owned[sub]
	e.unsubscribe(sub)
	delete(e.owned, sub)
	s.gather.Stop()
	e.endGather(s)
}

func (e *Endpoint) unsubscribe(sub *nats.Subscription) {
	if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		e.log.Warn("cannot unsubscribe from permits", "subject", sub.Subject, "err", err)
	}
}

// errMoved answers the last requests to a shard that was just released.
var errMoved = code.New(code.Unavailable, "the permits of this user are decided elsewhere now")

// dispatch processes one message: the answer to a recall, leases that an edge claims or
// returns, or a request for a permit.
func (e *Endpoint) dispatch(m *nats.Msg) {
	switch {
	case e.req.Handle(m):
	case m.Sub == e.syncs:
		e.onClaim(m)
	case strings.HasSuffix(m.Subject, returned):
		e.onReturn(m)
	default:
		e.answer(m)
	}
}

var returned = "." + string(subject.OpReturn)

// answer decides one request and replies, unless the request must wait for a recall.
func (e *Endpoint) answer(m *nats.Msg) {
	out := &e.out
	out.take, out.taken = wire.Take{}, wire.Taken{}
	permits, err := e.parse(m.Data, &out.take)
	s := e.owned[m.Sub]
	switch {
	case err != nil:
		e.counters.malformed.Add(1)
		out.taken.Fault = wire.FaultOf(err)
	case s == nil || !s.lease.Valid(time.Now()):
		out.taken.Fault = wire.FaultOf(errMoved)
	case s.waiting != nil && len(s.waiting) < maxGatherWaiters:
		s.waiting = append(s.waiting, m)
		return
	default:
		if !e.decide(s, m, &out.take, permits, &out.taken) {
			return
		}
	}
	e.reply(m)
}

// reply sends out.taken.
func (e *Endpoint) reply(m *nats.Msg) {
	e.out.buf = wire.Append(e.out.buf[:0], &e.out.taken)
	if m.Reply == "" {
		return
	}
	// An edge that gets no answer decides locally; the log is right either way.
	if err := e.nc.Publish(m.Reply, e.out.buf); err != nil {
		e.counters.unsent.Add(1)
	}
}

// takePermit takes one permit from the user's log.
func (e *Endpoint) takePermit(s *shard, now time.Time, take *wire.Take, permits int, taken *wire.Taken) {
	key := limit.Key{User: take.User, Action: take.Action}
	ok, retryAfter := s.table.Take(now, key, permits)
	taken.OK = ok
	if !ok {
		taken.RetryAfterMs = code.Millis(retryAfter)
	}
	e.counters.decision(take.Action, ok)
}

// parse decodes a request and finds its limit. The error is a *code.Error.
func (e *Endpoint) parse(data []byte, take *wire.Take) (permits int, err error) {
	if err := wire.Unmarshal(data, take); err != nil {
		return 0, code.New(code.BadRequest, "not a request for a permit")
	}
	if take.User == "" || len(take.User) > maxUser {
		return 0, code.New(code.BadRequest, "a user id has 1 to %d bytes", maxUser)
	}
	permits, ok := e.limits.Of(take.Action)
	if !ok {
		return 0, code.New(code.BadRequest, "action %d has no limit", uint64(take.Action))
	}
	return permits, nil
}
