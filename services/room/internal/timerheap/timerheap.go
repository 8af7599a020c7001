// Package timerheap keeps what is due when: a queue that always knows the next
// deadline and from which anything can be taken back. It has no clock.
package timerheap

import "time"

// Never is the deadline of what does not end. It is later than any other.
const Never = time.Duration(1<<63 - 1)

// Clock turns instants into offsets from the first instant it saw, which need 8
// bytes instead of 24 and follow the monotonic clock. The zero value is ready.
type Clock struct{ origin time.Time }

// At is the offset of now; the first call makes now the origin.
func (c *Clock) At(now time.Time) time.Duration {
	if c.origin.IsZero() {
		c.origin = now
	}
	return now.Sub(c.origin)
}

// Time is the instant of an offset that At gave.
func (c *Clock) Time(at time.Duration) time.Time { return c.origin.Add(at) }

// Place is an item's deadline and where it stands in a Queue; items embed it.
// The zero value stands in no queue.
type Place struct {
	at   time.Duration
	slot int // index in the queue + 1, 0 = not queued
}

func (p *Place) place() *Place { return p }

// Due is the deadline of an item that Queued reports.
func (p *Place) Due() time.Duration { return p.at }

// Queued tells whether the item stands in its queue.
func (p *Place) Queued() bool { return p.slot > 0 }

// Item is anything that embeds a Place. An item belongs to at most one queue.
type Item interface{ place() *Place }

// Queue is a binary heap of items by deadline; every operation but Next and Len
// costs O(log n). The zero value is empty and ready. Not safe for concurrent use.
type Queue[T Item] struct{ items []T }

// Len is the number of items queued.
func (q *Queue[T]) Len() int { return len(q.items) }

// Set queues item for at, or moves it there when it is queued already.
func (q *Queue[T]) Set(item T, at time.Duration) {
	p := item.place()
	if p.slot == 0 {
		q.items = append(q.items, item)
		p.slot = len(q.items)
	}
	p.at = at
	q.fix(p.slot - 1)
}

// Remove takes item out; it need not be queued.
func (q *Queue[T]) Remove(item T) {
	p := item.place()
	if p.slot == 0 {
		return
	}
	i, last := p.slot-1, len(q.items)-1
	q.swap(i, last)
	var none T
	q.items[last] = none
	q.items = q.items[:last]
	p.slot = 0
	if i < last {
		q.fix(i)
	}
	if last == 0 {
		q.items = nil // most queues are empty most of the time
	}
}

// Next is the earliest deadline; false when nothing is queued.
func (q *Queue[T]) Next() (time.Duration, bool) {
	if len(q.items) == 0 {
		return 0, false
	}
	return q.items[0].place().at, true
}

// Pop removes and returns the item with the earliest deadline if that is at now
// or before it. Items with the same deadline come in no particular order.
func (q *Queue[T]) Pop(now time.Duration) (item T, ok bool) {
	if at, some := q.Next(); !some || at > now {
		return item, false
	}
	item = q.items[0]
	q.Remove(item)
	return item, true
}

// fix restores the heap around index i, whose deadline may be anything.
func (q *Queue[T]) fix(i int) {
	for i > 0 && q.less(i, (i-1)/2) {
		q.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		child := 2*i + 1
		if child+1 < len(q.items) && q.less(child+1, child) {
			child++
		}
		if child >= len(q.items) || !q.less(child, i) {
			return
		}
		q.swap(i, child)
		i = child
	}
}

func (q *Queue[T]) less(i, j int) bool {
	return q.items[i].place().at < q.items[j].place().at
}

func (q *Queue[T]) swap(i, j int) {
	q.items[i], q.items[j] = q.items[j], q.items[i]
	q.items[i].place().slot, q.items[j].place().slot = i+1, j+1
}
