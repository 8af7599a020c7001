package poll

import (
	"sync"
	"sync/atomic"
)

const (
	// PostBacklog is how many posted functions may wait before TryPost
	// refuses: about 10 ms of work. Beyond it a loop is overloaded, and what
	// can be refused should be.
	PostBacklog = 16384

	// keptPosts is the largest mailbox kept after it was emptied; a burst's
	// memory goes back to the collector.
	keptPosts = 4096
)

// mailbox is a loop's queue of functions: many producers, one consumer.
type mailbox struct {
	asleep atomic.Bool  // the consumer is about to wait, or waits
	count  atomic.Int32 // len(fns), readable without the lock

	mu   sync.Mutex // guards the following
	fns  []func()
	free []func() // emptied slice for reuse
	gone bool     // the consumer has ended
}

// Post runs fn on the loop, after everything posted before. It never blocks
// and never drops; it returns false when the loop has ended, and then fn will
// not run. The queue has no bound of its own: its producers have (a callback
// for each request in flight, a read for each pump). Whoever is fed without
// bound from outside uses TryPost.
func (l *Loop) Post(fn func()) bool { return l.mail.put(l, fn, false) }

// TryPost is Post for work that may be lost, such as a broadcast whose loss is
// seen and repaired: it refuses when PostBacklog functions wait.
func (l *Loop) TryPost(fn func()) bool { return l.mail.put(l, fn, true) }

// Backlog is the number of posted functions that wait.
func (l *Loop) Backlog() int { return int(l.mail.count.Load()) }

func (m *mailbox) put(l *Loop, fn func(), bounded bool) bool {
	m.mu.Lock()
	if m.gone || bounded && len(m.fns) >= PostBacklog {
		m.mu.Unlock()
		return false
	}
	m.fns = append(m.fns, fn)
	m.count.Store(int32(len(m.fns)))
	m.mu.Unlock()
	if m.asleep.Load() && m.asleep.CompareAndSwap(true, false) {
		l.poller.wake()
	}
	return true
}

func (m *mailbox) waiting() bool { return m.count.Load() > 0 }

func (m *mailbox) take() []func() {
	if !m.waiting() {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	fns := m.fns
	m.fns, m.free = m.free, nil
	m.count.Store(0)
	return fns
}

func (m *mailbox) giveBack(fns []func()) {
	if cap(fns) == 0 || cap(fns) > keptPosts {
		return
	}
	clear(fns)
	m.mu.Lock()
	m.free = fns[:0]
	m.mu.Unlock()
}

// shut makes every later Post fail. What was posted before still runs.
func (m *mailbox) shut() {
	m.mu.Lock()
	m.gone = true
	m.mu.Unlock()
}
