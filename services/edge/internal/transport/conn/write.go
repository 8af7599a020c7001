package conn

import "github.com/confab-chat/confab/proto/code"

const (
	// keptBacklogs is how many backlogs a factory keeps for reuse, each of at most
	// keptEntries.
	keptBacklogs = 4096
	keptEntries  = 16

	// coalesceUpTo is the largest head of the queue, in bytes, that is copied to share a
	// write with what follows it. A larger one costs less in a write of its own.
	coalesceUpTo = 16 << 10
)

// backlog is the queue behind its first entry.
type backlog struct {
	entries []entry
	head    int
}

type entry struct {
	frames []byte
	class  Class
}

// Send queues complete frames, which leave in order at the end of this turn of
// the loop, in one write with everything else that waits. frames is shared and
// must not be changed any more. It returns false if frames will not be written: the
// connection is closing, or too slow (then Closed follows), or the class was dropped.
//
// When more than Options.QueueBytes would wait, queued typing is dropped first, then
// presence; if that is not enough, the connection is closed with code 4000. When
// Options.Budget is used up, a connection that is behind is closed at once.
func (c *Conn) Send(frames []byte, class Class) bool {
	if c.state != open {
		return false
	}
	if len(frames) == 0 {
		return true
	}
	if c.blocked && c.factory.options.Budget.over() {
		c.closeSlowConsumer()
		return false
	}
	if c.queued > 0 && int(c.queued)+len(frames) > c.factory.options.QueueBytes && !c.makeRoomFor(len(frames), class) {
		return false
	}
	c.push(frames, class)
	c.factory.stats.Sent.Add(1)
	return true
}

// push appends to the queue.
func (c *Conn) push(frames []byte, class Class) {
	c.queued += int32(len(frames))
	if c.first == nil {
		c.first, c.firstClass = frames, class
	} else {
		if c.more == nil {
			c.more = c.factory.backlog()
		}
		c.more.entries = append(c.more.entries, entry{frames, class})
	}
	if c.blocked {
		c.updateQueued()
	} else {
		c.scheduleFlush()
	}
}

// updateQueued brings Stats.Queued and the Budget up to date. They count what a client
// does not read, not what waits for the end of this turn.
func (c *Conn) updateQueued() {
	t := c.cold
	if t == nil { // not blocked since the queue was last empty
		return
	}
	if d := c.queued - t.counted; d != 0 {
		c.factory.stats.Queued.Add(int64(d))
		c.factory.options.Budget.add(int64(d))
		t.counted = c.queued
	}
}

// flushQueue writes what the transport accepts, and then acts on an empty queue.
func (c *Conn) flushQueue() {
	c.writeQueue()
	if c.first == nil {
		c.queueEmptied()
	}
}

// writeQueue is flushQueue without the consequences of an empty queue, for a caller that
// is about to add to it.
func (c *Conn) writeQueue() {
	for c.first != nil && !c.blocked && c.state < ended {
		b := c.first
		if c.more != nil && len(b) < coalesceUpTo {
			b = c.coalesce()
		}
		n, err := c.transport.Write(b)
		if err != nil {
			c.transport.Close()
			c.transportLost(err)
			return
		}
		c.removeWritten(n)
		c.factory.stats.Writes.Add(1)
		c.factory.stats.BytesOut.Add(uint64(n))
		if n < len(b) {
			c.waitForTransport(n)
		}
	}
	c.updateQueued()
}

// waitForTransport stops writing until Writable. Progress of n bytes restarts the stall
// timeout.
func (c *Conn) waitForTransport(n int) {
	c.blocked = true
	if t := c.ensureCold(); n > 0 || t.stallAt == 0 {
		t.stallAt = c.factory.loop.Tick() + c.factory.stall
		c.armBy(t.stallAt)
	}
}

// coalesce copies as much of the queue as fits into the loop's scratch buffer.
func (c *Conn) coalesce() []byte {
	buf := append(c.factory.loop.Scratch()[:0], c.first...)
	for _, e := range c.more.entries[c.more.head:] {
		if len(buf)+len(e.frames) > cap(buf) {
			break
		}
		buf = append(buf, e.frames...)
	}
	return buf
}

// removeWritten removes n bytes from the front of the queue.
func (c *Conn) removeWritten(n int) {
	c.queued -= int32(n)
	for n >= len(c.first) && c.first != nil {
		n -= len(c.first)
		c.popFirst()
	}
	if n > 0 {
		c.first, c.started = c.first[n:], true
	}
}

// popFirst removes the first entry, whose bytes the caller has subtracted from queued.
func (c *Conn) popFirst() {
	c.first, c.started = nil, false
	m := c.more
	if m == nil {
		return
	}
	e := &m.entries[m.head]
	c.first, c.firstClass = e.frames, e.class
	*e = entry{}
	if m.head++; m.head == len(m.entries) {
		c.more = nil
		c.factory.recycle(m)
	}
}

// queueEmptied does what had to wait for an empty queue.
func (c *Conn) queueEmptied() {
	if t := c.cold; t != nil {
		t.stallAt = 0
	}
	switch c.state {
	case replied:
		c.transport.Close()
		c.release()
	case failing:
		c.linger()
	case open:
		if c.cold != nil && c.cold.held == nil { // the peer has caught up
			c.cold = nil
		}
		if c.wantsDrained {
			c.wantsDrained = false
			c.handler.Drained(c)
		}
	}
}

// Writable implements poll.Handler.
func (c *Conn) Writable() {
	defer c.recoverPanic()
	c.blocked = false
	c.flushQueue()
}

// makeRoomFor makes room for n bytes of a class, and reports whether it did.
func (c *Conn) makeRoomFor(n int, class Class) bool {
	fits := func() bool { return c.queued == 0 || int(c.queued)+n <= c.factory.options.QueueBytes }
	if c.writeQueue(); c.state != open {
		return false
	}
	if fits() {
		return true
	}
	for _, cheapest := range []Class{Typing, Presence} {
		if c.dropClass(cheapest); fits() {
			return true
		}
		if class == cheapest {
			c.factory.stats.dropped(class, 1)
			return false
		}
	}
	c.closeSlowConsumer()
	return false
}

// dropClass removes every queued entry of a class, except a started one.
func (c *Conn) dropClass(class Class) {
	var n int
	if m := c.more; m != nil {
		kept := m.entries[:m.head]
		for _, e := range m.entries[m.head:] {
			if e.class == class {
				c.queued -= int32(len(e.frames))
				n++
				continue
			}
			kept = append(kept, e)
		}
		clear(m.entries[len(kept):])
		m.entries = kept
		if m.head == len(kept) {
			c.more = nil
			c.factory.recycle(m)
		}
	}
	if c.first != nil && c.firstClass == class && !c.started {
		c.queued -= int32(len(c.first))
		c.popFirst()
		n++
	}
	c.factory.stats.dropped(class, n)
}

// dropAll empties the queue, except for an entry that is partly written: the close frame
// must follow a whole frame.
func (c *Conn) dropAll() {
	if m := c.more; m != nil {
		c.more = nil
		c.factory.recycle(m)
	}
	if c.started {
		c.queued = int32(len(c.first))
		return
	}
	c.first, c.queued = nil, 0
}

// closeSlowConsumer closes a client that does not keep up. If it reads at all it still
// receives the reason; if not, it is reset after Options.Closing.
func (c *Conn) closeSlowConsumer() {
	c.factory.stats.Slow.Add(1)
	c.dropAll()
	c.Close(code.CloseSlowConsumer, "")
}

func (f *Factory) backlog() *backlog {
	if n := len(f.free); n > 0 {
		b := f.free[n-1]
		f.free = f.free[:n-1]
		return b
	}
	return &backlog{entries: make([]entry, 0, 4)}
}

func (f *Factory) recycle(b *backlog) {
	if len(f.free) >= keptBacklogs || cap(b.entries) > keptEntries {
		return
	}
	clear(b.entries)
	b.entries, b.head = b.entries[:0], 0
	f.free = append(f.free, b)
}
