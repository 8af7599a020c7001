package natsconn

import (
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Each takes one of several replies and tells whether more are to come. After
// an error it is not called again, whatever it returns.
type Each func(reply *nats.Msg, err error) (more bool)

// DoMany is Do for a request that is answered by several messages, such as a
// batch read of a stream: each runs for every reply until it returns false.
// timeout counts anew from every reply. each is never called concurrently, as
// long as one goroutine calls Handle.
func (r *Requester) DoMany(subject string, hdr nats.Header, data []byte, timeout time.Duration, each Each) {
	var id atomic.Uint64 // written before the request is published, so before any reply
	var step Done
	step = func(m *nats.Msg, err error) {
		if more := each(m, err); more && err == nil {
			r.again(id.Load(), timeout, step)
		}
	}
	n, err := r.add(timeout, step)
	if err != nil {
		each(nil, err)
		return
	}
	id.Store(n)
	if err = r.publish(n, subject, hdr, data); err != nil && r.take(n) != nil {
		each(nil, err)
	}
}

// again lets done wait for one more reply as id; when the Requester has closed
// meanwhile, done learns that instead.
func (r *Requester) again(id uint64, timeout time.Duration, done Done) {
	at := time.Now().Add(timeout)
	r.mu.Lock()
	closed := r.closed
	if !closed {
		r.wait(id, timeout, at, done)
	}
	r.mu.Unlock()
	if closed {
		done(nil, nats.ErrConnectionClosed)
	}
}
