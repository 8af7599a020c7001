// Package mailbox is the queue of functions in front of a goroutine that owns its
// state without locks: any goroutine posts, the owner runs what was posted.
//
// A mailbox has no bound of its own and Post never blocks, so that two owners can
// post to each other without deadlock. Its producers bound it: a callback for each
// request in flight, an acknowledgement for each connection. A producer that is fed
// without bound from outside uses TryPost.
package mailbox

import (
	"sync"
	"sync/atomic"
)

// keptSize is the capacity, in functions, of the largest batch whose memory the
// next one reuses. The memory of a larger burst goes to the collector.
const keptSize = 4096

// Mailbox is a queue with many producers and one owner. Post, TryPost, Wake, Len
// and Close may be called concurrently; Run and RunEach belong to the owner.
type Mailbox struct {
	// Static.
	wake func()
	bell chan struct{} // capacity 1, never closed; nil when wake is a hook

	count atomic.Int32 // len(fns), readable without the lock

	mu     sync.Mutex // guards the following
	fns    []func()
	spare  []func() // empty; the memory of the last batch
	closed bool
}

// New returns an open mailbox for an owner that selects on C.
func New() *Mailbox {
	bell := make(chan struct{}, 1)
	return &Mailbox{bell: bell, wake: func() {
		select {
		case bell <- struct{}{}:
		default: // a wake-up is on its way already
		}
	}}
}

// NewHook returns an open mailbox for an owner that waits for something other than
// a channel. Every accepted post calls wake afterwards, on the producer's goroutine
// and outside the lock; it must end the owner's wait, or keep the next one from
// starting, and must not block.
func NewHook(wake func()) *Mailbox { return &Mailbox{wake: wake} }

// C receives after every post and every Wake. Several of them may share one
// receive, and one receive may find nothing posted: the owner calls Run after it.
// C is nil in a mailbox made by NewHook.
func (m *Mailbox) C() <-chan struct{} { return m.bell }

// Wake ends the owner's wait although nothing was posted, for example as the
// function of a timer.
func (m *Mailbox) Wake() { m.wake() }

// Post queues fn behind everything posted before. It returns false when the mailbox
// is closed; fn will not run then.
func (m *Mailbox) Post(fn func()) bool { return m.post(fn, 0) }

// TryPost is Post for work that may be lost: it also returns false while limit
// functions wait.
func (m *Mailbox) TryPost(fn func(), limit int) bool { return m.post(fn, limit) }

// post queues fn unless limit functions wait; 0 is no limit.
func (m *Mailbox) post(fn func(), limit int) bool {
	m.mu.Lock()
	if m.closed || limit > 0 && len(m.fns) >= limit {
		m.mu.Unlock()
		return false
	}
	m.fns = append(m.fns, fn)
	m.count.Store(int32(len(m.fns)))
	m.mu.Unlock()
	m.wake()
	return true
}

// Len returns the number of functions that wait.
func (m *Mailbox) Len() int { return int(m.count.Load()) }

// Run runs the functions that were posted before the call, in their order. What they
// post waits for the next Run.
func (m *Mailbox) Run() { m.RunEach(func(fn func()) { fn() }) }

// RunEach is Run with every function passed to call, which runs it, for an owner
// that recovers from panics. A panic that leaves call loses the rest of the batch.
func (m *Mailbox) RunEach(call func(fn func())) {
	if m.count.Load() == 0 {
		return
	}
	m.mu.Lock()
	fns := m.fns
	m.fns, m.spare = m.spare, nil
	m.count.Store(0)
	m.mu.Unlock()
	for _, fn := range fns {
		call(fn)
	}
	if cap(fns) > keptSize {
		return
	}
	clear(fns) // the functions hold connections
	m.mu.Lock()
	m.spare = fns[:0]
	m.mu.Unlock()
}

// Close makes every later post fail. The owner calls it when it ends, and then Run, which
// runs the functions accepted before Close.
func (m *Mailbox) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
}
