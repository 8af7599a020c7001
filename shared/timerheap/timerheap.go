// Package timerheap is a queue of deadlines: it always knows the earliest one, and any
// item can be moved or removed. It never reads a clock; callers pass the time.
package timerheap

import "time"

// Never is later than any other deadline.
const Never = time.Duration(1<<63 - 1)

// Clock converts times to offsets from the first time passed to it. An offset needs 8
// bytes instead of 24 and follows the monotonic clock. The zero value is ready.
type Clock struct{ origin time.Time }

// At returns the offset of now. The first call makes now the origin.
func (c *Clock) At(now time.Time) time.Duration {
	if c.origin.IsZero() {
		c.origin = now
	}
	return now.Sub(c.origin)
}

// Time returns the time of an offset that At returned.
func (c *Clock) Time(at time.Duration) time.Time { return c.origin.Add(at) }

// Place is an item's deadline and its index in a Queue; items embed it. The zero value
// is in no queue.
type Place struct {
	at   time.Duration
	slot int // index in the queue + 1, 0 = not queued
}

func (p *Place) place() *Place { return p }

// Due returns the deadline for which the item is, or was last, queued.
func (p *Place) Due() time.Duration { return p.at }

// Queued reports whether the item is in its queue.
func (p *Place) Queued() bool { return p.slot > 0 }

// Item is a type that embeds a Place. An item is in at most one queue.
type Item interface{ place() *Place }

// Queue is a binary heap of items by deadline. Set, Remove and Pop cost O(log n) and
// allocate only when the heap grows. The zero value is empty and ready. Its methods must
// not be called concurrently.
type Queue[T Item] struct{ items []T }

// Len returns the number of queued items.
func (q *Queue[T]) Len() int { return len(q.items) }

// Set queues item for the deadline at, or moves it there if it is queued already.
func (q *Queue[T]) Set(item T, at time.Duration) {
	p := item.place()
	if p.slot == 0 {
		q.items = append(q.items, item)
		p.slot = len(q.items)
	}
	p.at = at
	q.fix(p.slot - 1)
}

// Remove removes item. It is a no-op if item is not queued.
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

// Next returns the earliest deadline, and false if nothing is queued.
func (q *Queue[T]) Next() (time.Duration, bool) {
	if len(q.items) == 0 {
		return 0, false
	}
	return q.items[0].place().at, true
}

// Pop removes and returns the item with the earliest deadline, and false if none is due
// at now. Items with the same deadline have no order.
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
