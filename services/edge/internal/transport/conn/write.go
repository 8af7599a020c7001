package conn

import (
	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

// coalesceUpTo is the largest head of the queue, in bytes, that is copied to share a write
// with what follows it. A larger one costs less in a write of its own.
const coalesceUpTo = 16 << 10

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
	return true
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
			c.Closed(err)
			return
		}
		c.removeWritten(n)
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
		poll.Linger(c.transport, c.factory.options.Closing) // waits for the peer
		c.release()
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

// closeSlowConsumer closes a client that does not keep up. If it reads at all it still
// receives the reason; if not, it is reset after Options.Closing.
func (c *Conn) closeSlowConsumer() {
	c.factory.stats.Slow.Add(1)
	c.dropAll()
	c.Close(code.CloseSlowConsumer, "")
}
