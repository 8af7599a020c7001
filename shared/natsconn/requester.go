package natsconn

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// MaxPending bounds the requests of one Requester that wait for an answer; the
// next one fails with ErrBusy. It is far above what 5 s of full load leave open.
const MaxPending = 1 << 17

// ErrBusy is given to a request that finds MaxPending others waiting.
var ErrBusy = errors.New("too many requests in flight")

// Done takes the outcome of a request: the reply, or nats.ErrNoResponders,
// nats.ErrTimeout, nats.ErrConnectionClosed (the Requester stopped), ErrBusy or
// what publishing said.
type Done func(reply *nats.Msg, err error)

// Requester has many requests in flight over one inbox subscription, without a
// goroutine each. Replies come through a channel of the caller's, so that they
// keep their order with whatever else that channel carries: on one connection a
// reply and the broadcasts around it arrive as they were published. All methods
// may be called concurrently.
type Requester struct {
	// Static after construction.
	nc     *nats.Conn
	prefix string // inbox of this requester, with its final dot
	sub    *nats.Subscription
	wake   chan struct{} // capacity 1: an earlier deadline than the armed one came; never closed

	mu sync.Mutex // guards the following
	// pending maps the last token of the reply subject to whoever waits.
	pending map[uint64]Done
	next    uint64
	// queues hold deadlines, one queue a distinct timeout, so that each is
	// ordered by itself; entries answered already are skipped.
	queues map[time.Duration]*deadlines
	armed  time.Time // what Run sleeps until; zero: for ever
	closed bool
}

type deadline struct {
	id uint64
	at time.Time
}

type deadlines struct{ q []deadline }

// NewRequester subscribes an inbox of nc's onto deliver. Whoever reads deliver
// gives each message to Handle first. Run must be running for timeouts to come.
func NewRequester(nc *nats.Conn, deliver chan *nats.Msg) (*Requester, error) {
	r := &Requester{
		nc:      nc,
		prefix:  nc.NewInbox() + ".",
		wake:    make(chan struct{}, 1),
		pending: make(map[uint64]Done),
		queues:  make(map[time.Duration]*deadlines),
	}
	sub, err := nc.ChanSubscribe(r.prefix+"*", deliver)
	if err != nil {
		return nil, err
	}
	r.sub = sub
	return r, nil
}

// Do publishes a request. done runs exactly once: on the goroutine that calls
// Handle or Run, or before Do returns when the request could not be published.
// timeout should be one of a few distinct durations. data is not kept.
func (r *Requester) Do(subject string, hdr nats.Header, data []byte, timeout time.Duration, done Done) {
	id, err := r.add(timeout, done)
	if err != nil {
		done(nil, err)
		return
	}
	if err = r.publish(id, subject, hdr, data); err != nil && r.take(id) != nil {
		done(nil, err)
	}
}

func (r *Requester) publish(id uint64, subject string, hdr nats.Header, data []byte) error {
	reply := r.prefix + strconv.FormatUint(id, 36)
	if hdr == nil {
		return r.nc.PublishRequest(subject, reply, data)
	}
	return r.nc.PublishMsg(&nats.Msg{Subject: subject, Reply: reply, Header: hdr, Data: data})
}

// Handle runs the callback of the request that m answers and reports true; it
// reports false when m is no reply of this Requester's. A late reply is dropped.
func (r *Requester) Handle(m *nats.Msg) bool {
	token, ok := strings.CutPrefix(m.Subject, r.prefix)
	if !ok {
		return false
	}
	id, err := strconv.ParseUint(token, 36, 64)
	if err != nil {
		return true
	}
	done := r.take(id)
	switch {
	case done == nil:
	case len(m.Data) == 0 && m.Header.Get("Status") == noResponders:
		done(nil, nats.ErrNoResponders)
	default:
		done(m, nil)
	}
	return true
}

var noResponders = strconv.Itoa(http.StatusServiceUnavailable)

// Run expires requests until ctx ends; what is pending then fails with
// nats.ErrConnectionClosed, and later requests do too.
func (r *Requester) Run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if at := r.arm(); at.IsZero() {
			timer.Reset(time.Hour)
		} else {
			timer.Reset(time.Until(at))
		}
		select {
		case <-ctx.Done():
			r.close()
			return
		case <-r.wake:
		case now := <-timer.C:
			r.expire(now)
		}
	}
}

// Pending is the number of requests that wait for an answer.
func (r *Requester) Pending() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pending)
}

func (r *Requester) add(timeout time.Duration, done Done) (uint64, error) {
	at := time.Now().Add(timeout)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, nats.ErrConnectionClosed
	}
	if len(r.pending) >= MaxPending {
		return 0, ErrBusy
	}
	r.next++
	r.wait(r.next, timeout, at, done)
	return r.next, nil
}

// wait notes that done waits as id until at, timeout from now; r.mu is held.
func (r *Requester) wait(id uint64, timeout time.Duration, at time.Time, done Done) {
	r.pending[id] = done
	d := r.queues[timeout]
	if d == nil {
		d = &deadlines{}
		r.queues[timeout] = d
	}
	d.skip(r.pending)
	d.q = append(d.q, deadline{id, at})
	if r.armed.IsZero() || at.Before(r.armed) {
		r.armed = at
		select {
		case r.wake <- struct{}{}:
		default: // a wake-up is on its way already
		}
	}
}

// take removes a request; nil when it is gone already.
func (r *Requester) take(id uint64) Done {
	r.mu.Lock()
	defer r.mu.Unlock()
	done := r.pending[id]
	delete(r.pending, id)
	return done
}

// arm notes and returns the earliest deadline, zero when nothing waits.
func (r *Requester) arm() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.armed = time.Time{}
	for timeout, d := range r.queues {
		d.skip(r.pending)
		if len(d.q) == 0 {
			delete(r.queues, timeout)
			continue
		}
		if at := d.q[0].at; r.armed.IsZero() || at.Before(r.armed) {
			r.armed = at
		}
	}
	return r.armed
}

// expireSlack lets requests that are due within it share one wake-up.
const expireSlack = 2 * time.Millisecond

func (r *Requester) expire(now time.Time) {
	var due []Done
	r.mu.Lock()
	for _, d := range r.queues {
		for len(d.q) > 0 && d.q[0].at.Before(now.Add(expireSlack)) {
			if done := r.pending[d.q[0].id]; done != nil {
				due = append(due, done)
				delete(r.pending, d.q[0].id)
			}
			d.q = d.q[1:]
		}
	}
	r.mu.Unlock()
	for _, done := range due {
		done(nil, nats.ErrTimeout)
	}
}

func (r *Requester) close() {
	// The connection may be gone already; then the subscription is too.
	_ = r.sub.Unsubscribe()
	r.mu.Lock()
	r.closed = true
	left := r.pending
	r.pending = map[uint64]Done{}
	r.queues = map[time.Duration]*deadlines{}
	r.mu.Unlock()
	for _, done := range left {
		done(nil, nats.ErrConnectionClosed)
	}
}

// skip drops answered requests from the front.
func (d *deadlines) skip(pending map[uint64]Done) {
	for len(d.q) > 0 {
		if _, waits := pending[d.q[0].id]; waits {
			return
		}
		d.q = d.q[1:]
	}
}
