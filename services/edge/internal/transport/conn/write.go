package conn

import "github.com/confab-chat/confab/proto/code"

const (
	// keptBacklogs is how many a set keeps for reuse, each of at most
	// keptEntries.
	keptBacklogs = 4096
	keptEntries  = 16

	// gatherUpTo is the largest head that is copied to be written together
	// with what waits behind it. Beyond it a write of its own costs less.
	gatherUpTo = 16 << 10
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
// must not be changed any more. It returns false when frames will not be
// written: the connection is closing, or too slow (then Closed follows), or
// the class was dropped.
//
// When more than Options.QueueBytes would wait, queued typing goes first, then
// presence, then the connection itself, with close code 4000. When Options.Budget is
// used up, the connection goes at once if it is behind.
func (c *Conn) Send(frames []byte, class Class) bool {
	if c.state != open {
		return false
	}
	if len(frames) == 0 {
		return true
	}
	if c.blocked && c.factory.options.Budget.over() {
		c.slow()
		return false
	}
	if c.queued > 0 && int(c.queued)+len(frames) > c.factory.options.QueueBytes && !c.makeRoom(len(frames), class) {
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
		c.report()
	} else {
		c.mark()
	}
}

// report brings Stats.Queued up to date: what waits for the next turn is not worth
// counting, what a client does not take is.
func (c *Conn) report() {
	t := c.trouble
	if t == nil { // it has never been blocked since all was written last
		return
	}
	if d := c.queued - t.reported; d != 0 {
		c.factory.stats.Queued.Add(int64(d))
		c.factory.options.Budget.add(int64(d))
		t.reported = c.queued
	}
}

// write gives the transport what it takes, and does what waited for the end
// of the queue.
func (c *Conn) write() {
	c.pour()
	if c.first == nil {
		c.settle()
	}
}

// pour is write without the consequences of an empty queue, for a caller that
// is about to add to it.
func (c *Conn) pour() {
	for c.first != nil && !c.blocked && c.state < ended {
		b := c.first
		if c.more != nil && len(b) < gatherUpTo {
			b = c.gather()
		}
		n, err := c.transport.Write(b)
		if err != nil {
			c.transport.Close()
			c.lost(err)
			return
		}
		c.consume(n)
		c.factory.stats.Writes.Add(1)
		c.factory.stats.BytesOut.Add(uint64(n))
		if n < len(b) {
			c.block(n)
		}
	}
	c.report()
}

// block waits for the transport; a byte that was taken restarts the clock of
// the stalled.
func (c *Conn) block(n int) {
	c.blocked = true
	if t := c.inTrouble(); n > 0 || t.stallAt == 0 {
		t.stallAt = c.factory.loop.Tick() + c.factory.stall
		c.arm(t.stallAt)
	}
}

// gather copies as much of the queue as fits into the loop's scratch buffer.
func (c *Conn) gather() []byte {
	buf := append(c.factory.loop.Scratch()[:0], c.first...)
	for _, e := range c.more.entries[c.more.head:] {
		if len(buf)+len(e.frames) > cap(buf) {
			break
		}
		buf = append(buf, e.frames...)
	}
	return buf
}

// consume removes n written bytes from the front.
func (c *Conn) consume(n int) {
	c.queued -= int32(n)
	for n >= len(c.first) && c.first != nil {
		n -= len(c.first)
		c.pop()
	}
	if n > 0 {
		c.first, c.started = c.first[n:], true
	}
}

// pop removes the first entry, whose bytes the caller has accounted for.
func (c *Conn) pop() {
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
		c.factory.giveBack(m)
	}
}

// settle does what waited for an empty queue.
func (c *Conn) settle() {
	if t := c.trouble; t != nil {
		t.stallAt = 0
	}
	switch c.state {
	case replied:
		c.transport.Close()
		c.end()
	case failing:
		c.linger()
	case open:
		if c.trouble != nil && c.trouble.held == nil { // it is over
			c.trouble = nil
		}
		if c.drain {
			c.drain = false
			c.handler.Drained(c)
		}
	}
}

// Writable implements poll.Handler.
func (c *Conn) Writable() {
	defer c.guard()
	c.blocked = false
	c.write()
}

// makeRoom finds room for n bytes of the given class, or says no.
func (c *Conn) makeRoom(n int, class Class) bool {
	fits := func() bool { return c.queued == 0 || int(c.queued)+n <= c.factory.options.QueueBytes }
	if c.pour(); c.state != open {
		return false
	}
	if fits() {
		return true
	}
	for _, worst := range []Class{Typing, Presence} {
		if c.drop(worst); fits() {
			return true
		}
		if class == worst {
			c.factory.stats.dropped(class, 1)
			return false
		}
	}
	c.slow()
	return false
}

// drop removes every queued entry of a class, except a started one.
func (c *Conn) drop(class Class) {
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
			c.factory.giveBack(m)
		}
	}
	if c.first != nil && c.firstClass == class && !c.started {
		c.queued -= int32(len(c.first))
		c.pop()
		n++
	}
	c.factory.stats.dropped(class, n)
}

// dropAll empties the queue, except for an entry that is partly written: the
// close frame has to stand at a frame's border.
func (c *Conn) dropAll() {
	if m := c.more; m != nil {
		c.more = nil
		c.factory.giveBack(m)
	}
	if c.started {
		c.queued = int32(len(c.first))
		return
	}
	c.first, c.queued = nil, 0
}

// slow gives up a client that does not keep up. If it reads at all it still
// learns why; if not, it is reset when the closing time is over.
func (c *Conn) slow() {
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

func (f *Factory) giveBack(b *backlog) {
	if len(f.free) >= keptBacklogs || cap(b.entries) > keptEntries {
		return
	}
	clear(b.entries)
	b.entries, b.head = b.entries[:0], 0
	f.free = append(f.free, b)
}
