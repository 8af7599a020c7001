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

// MaxPending bounds the pending requests of one Requester; further ones fail with
// ErrBusy. It is far above the number that is pending after 5 s of full load.
const MaxPending = 1 << 17

// ErrBusy is the error of a request made while MaxPending others are pending.
var ErrBusy = errors.New("too many requests in flight")

// Done receives the outcome of a request: the reply, or nats.ErrNoResponders,
// nats.ErrTimeout, nats.ErrConnectionClosed (the Requester stopped), ErrBusy or the error
// of publishing.
type Done func(reply *nats.Msg, err error)

// Requester keeps many requests in flight over one inbox subscription, without a goroutine
// per request. Replies arrive on a channel of the caller's and keep their order relative
// to the other messages on it: on one connection, a reply and the broadcasts around it
// arrive in the order in which they were published. All methods may be called
// concurrently.
type Requester struct {
	// Static after construction.
	nc     *nats.Conn
	prefix string // inbox of this requester, with its final dot
	sub    *nats.Subscription
	wake   chan struct{} // capacity 1: there is an earlier deadline than the armed one; never closed

	mu sync.Mutex // guards the following
	// pending maps the last token of the reply subject to the request's callback.
	pending map[uint64]Done
	next    uint64
	// queues hold deadlines, one queue per distinct timeout, so that each queue is sorted
	// without sorting; entries of answered requests are skipped.
	queues map[time.Duration]*deadlines
	armed  time.Time // when Run wakes up; zero: never
	closed bool
}

type deadline struct {
	id uint64
	at time.Time
}

type deadlines struct{ q []deadline }

// NewRequester subscribes to an inbox of nc, with deliver as its channel. The reader of
// deliver must pass each message to Handle first. Requests time out only while Run runs.
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

// Do publishes a request. done is called exactly once: on the goroutine that calls Handle
// or Run, or before Do returns if the request cannot be published. timeout should be one
// of a few distinct durations. Do does not keep data.
func (r *Requester) Do(subject string, hdr nats.Header, data []byte, timeout time.Duration, done Done) {
	id, err := r.add(timeout, done)
	if err != nil {
		done(nil, err)
		return
	}
	if err = r.publish(id, subject, hdr, data); err != nil && r.remove(id) != nil {
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

// Handle reports whether m is a reply to this Requester, and if so calls the request's
// callback. A late reply is dropped.
func (r *Requester) Handle(m *nats.Msg) bool {
	token, ok := strings.CutPrefix(m.Subject, r.prefix)
	if !ok {
		return false
	}
	id, err := strconv.ParseUint(token, 36, 64)
	if err != nil {
		return true
	}
	done := r.remove(id)
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

// Run expires requests until ctx ends. Then all pending and later requests fail with
// nats.ErrConnectionClosed.
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

// Pending returns the number of requests without a reply.
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

// wait adds the pending request id with its callback; it expires at, timeout from now.
// r.mu must be held.
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
		default: // a wake-up is already queued
		}
	}
}

// remove removes a pending request and returns its callback; nil if it is not pending.
func (r *Requester) remove(id uint64) Done {
	r.mu.Lock()
	defer r.mu.Unlock()
	done := r.pending[id]
	delete(r.pending, id)
	return done
}

// arm sets and returns the earliest deadline; zero if no request is pending.
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

// expireSlack is the interval within which due requests share one wake-up.
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
