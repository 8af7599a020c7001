package conn

const (
	// keptBacklogs is how many backlogs a factory keeps for reuse, each of at most
	// keptEntries.
	keptBacklogs = 4096
	keptEntries  = 16
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
