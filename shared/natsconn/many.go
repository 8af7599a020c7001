package natsconn

import (
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Each handles one of several replies and reports whether to wait for another one. It is
// not called again after an error, whatever it returned.
type Each func(reply *nats.Msg, err error) (more bool)

// DoMany is Do for a request with several replies, such as a batch read of a stream: each
// runs for every reply until it returns false. The timeout starts again with every reply.
// each is not called concurrently, provided that a single goroutine calls Handle.
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
	if err = r.publish(n, subject, hdr, data); err != nil && r.remove(n) != nil {
		each(nil, err)
	}
}

// again makes done wait for one more reply as id. If the Requester has been closed
// meanwhile, done gets that error instead.
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
