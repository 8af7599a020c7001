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
	"github.com/confab-chat/confab/shared/natsconn"
	"github.com/confab-chat/confab/shared/partition"
)

const (
	// maxWaiting bounds the requests that have arrived and wait. They are 50 ms
	// of work, and that is how long an edge waits: what is older has been
	// decided there already. Past it NATS drops the newest and counts them.
	maxWaiting = 8192

	// maxKeys bounds the keys of one shard: 64 shards of so many, 300 B each, are
	// the 1.2 GB of a million users that do everything at once. limit.Table says
	// what happens when it is full.
	maxKeys = 1 << 16

	// sweepEvery and sweepKeys: each shard is looked through once in a minute
	// when full, and costs nothing to speak of when not.
	sweepEvery = time.Second
	sweepKeys  = maxKeys / 60

	// LeaseFor is how long an edge decides for a user by itself before it asks again
	// and says what it has granted: until then a lease costs nobody anything.
	LeaseFor = 5 * time.Minute

	// maxUser bounds a user id: protocol.md allows 128 bytes.
	maxUser = 128
)

// ErrClosed is returned when the endpoint does not run any more.
var ErrClosed = errors.New("the permit endpoint has stopped")

// Endpoint grants permits. One goroutine, Run's, owns every log, so that nothing
// needs a lock: the simplest of what was measured, and no slower. On two cores,
// a callback for each shard, or two or four goroutines with a lock for each shard,
// were within the noise at 1 and 64 requests in flight; at 512 callbacks were a
// tenth slower, more goroutines 2 % faster. It implements [partition.Holder].
type Endpoint struct {
	// Static.
	nc     *nats.Conn
	limits policy.Limits
	log    *slog.Logger
	req    *natsconn.Requester
	inbox  string // of what edges say they hold, without its last token, the shard

	msgs    chan *nats.Msg // to Run; never closed: NATS sends
	control chan func()    // to Run; never closed
	done    chan struct{}  // closed by Run when it returns

	// Owned by Run.
	owned map[*nats.Subscription]*shard
	syncs *nats.Subscription // on inbox
	lease uint64             // the last one's number
	out   reply

	counters counters // written by Run, read by anybody
	mu       sync.Mutex
	load     wire.LimitLoad // guarded by mu; as of the last change or sweep
}

// shard is one shard's logs, and which edges decide for its users.
type shard struct {
	number  int
	sub     *nats.Subscription
	table   *limit.Table
	holders holders
	begun   time.Time
}

// reply is the scratch space of one answer.
type reply struct {
	take  wire.Take
	taken wire.Taken
	buf   []byte
}

// New makes an endpoint; nothing is answered before Run.
func New(nc *nats.Conn, limits policy.Limits, log *slog.Logger) (*Endpoint, error) {
	e := &Endpoint{
		nc: nc, limits: limits, log: log,
		msgs:    make(chan *nats.Msg, maxWaiting),
		control: make(chan func()),
		done:    make(chan struct{}),
		owned:   make(map[*nats.Subscription]*shard),
		inbox:   nc.NewInbox() + ".",
		lease:   uint64(time.Now().UnixNano()), // above those of any owner before
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
	defer close(e.done)
	requests.Go(func() { e.req.Run(ctx) })
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case m := <-e.msgs:
			e.handle(m)
			for range len(e.msgs) { // what waits already needs no select
				e.handle(<-e.msgs)
			}
		case act := <-e.control:
			act()
		case now := <-sweep.C:
			for _, s := range e.owned {
				s.table.Sweep(now, sweepKeys)
				s.holders.sweep(now)
			}
			e.measure()
		case <-ctx.Done():
			for sub := range e.owned {
				e.drop(sub)
			}
			e.unsubscribe(e.syncs)
			return nil
		}
	}
}

// Acquire begins to answer for a shard. The logs are with the edges that hold
// leases, which it asks for them; who held the shard before has taken the others along.
func (e *Endpoint) Acquire(ctx context.Context, l partition.Lease) error {
	result := make(chan error, 1)
	act := func() {
		sub, err := e.nc.ChanQueueSubscribe(subject.Limits(l.Shard), subject.QueueLimit, e.msgs)
		if err != nil {
			result <- fmt.Errorf("subscribe to permits of shard %d: %w", l.Shard, err)
			return
		}
		e.owned[sub] = &shard{number: l.Shard, sub: sub, table: limit.NewTable(maxKeys), begun: time.Now()}
		e.askLeases(l.Shard)
		e.measure()
		result <- nil
	}
	select {
	case e.control <- act:
		return <-result
	case <-ctx.Done():
		return ctx.Err()
	case <-e.done:
		return ErrClosed
	}
}

// Release stops answering for a shard and forgets its logs.
func (e *Endpoint) Release(number int) {
	finished := make(chan struct{})
	act := func() {
		defer close(finished)
		for sub, s := range e.owned {
			if s.number == number {
				e.drop(sub)
			}
		}
		e.measure()
	}
	select {
	case e.control <- act:
		<-finished
	case <-e.done:
	}
}

// drop unsubscribes; requests of it that wait already will be refused.
func (e *Endpoint) drop(sub *nats.Subscription) {
	e.unsubscribe(sub)
	delete(e.owned, sub)
}

func (e *Endpoint) unsubscribe(sub *nats.Subscription) {
	if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		e.log.Warn("cannot unsubscribe from permits", "subject", sub.Subject, "err", err)
	}
}

// errMoved is what the last requests to a shard hear that was just released.
var errMoved = code.New(code.Unavailable, "the permits of this user are decided elsewhere now")

// handle takes what has arrived: the answer to a recall, leases that an edge
// holds or gives back, or a request for a permit.
func (e *Endpoint) handle(m *nats.Msg) {
	switch {
	case e.req.Handle(m):
	case m.Sub == e.syncs:
		e.claimed(m)
	case strings.HasSuffix(m.Subject, returned):
		e.returned(m)
	default:
		e.answer(m)
	}
}

var returned = "." + string(subject.OpReturn)

// answer decides one request and replies, unless others must be heard first.
func (e *Endpoint) answer(m *nats.Msg) {
	out := &e.out
	out.take, out.taken = wire.Take{}, wire.Taken{}
	permits, err := e.parse(m.Data, &out.take)
	s := e.owned[m.Sub]
	switch {
	case err != nil:
		e.counters.malformed.Add(1)
		out.taken.Fault = wire.FaultOf(err)
	case s == nil:
		out.taken.Fault = wire.FaultOf(errMoved)
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
	// An edge that does not hear decides by itself; the log is right either way.
	if err := e.nc.Publish(m.Reply, e.out.buf); err != nil {
		e.counters.unsent.Add(1)
	}
}

// permit takes one permit out of the log.
func (e *Endpoint) permit(s *shard, now time.Time, take *wire.Take, permits int, taken *wire.Taken) {
	key := limit.Key{User: take.User, Action: take.Action}
	ok, retryAfter := s.table.Take(now, key, permits)
	taken.OK = ok
	if !ok {
		// Rounded up: a millisecond too early would be refused again.
		taken.RetryAfterMs = uint64((retryAfter + time.Millisecond - 1) / time.Millisecond)
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
