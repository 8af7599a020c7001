package conn

import (
	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/ws"
)

// Readable implements poll.Handler.
func (c *Conn) Readable(b []byte) {
	defer c.guard()
	c.set.stats.BytesIn.Add(uint64(len(b)))
	c.lastRead = c.set.loop.Tick()
	c.receive(b)
}

// receive decodes b as far as the handler wants.
func (c *Conn) receive(b []byte) {
	switch c.state {
	case open, closing: // while closing, the peer's close frame is looked for
	default:
		return
	}
	if c.held != nil || c.paused {
		c.hold(b)
		return
	}
	rest, err := c.set.decoder.Feed(&c.partial, b, c)
	if err != nil {
		c.violate(err)
		return
	}
	if len(rest) > 0 && c.paused {
		c.hold(rest)
	}
	switch {
	case c.partial == nil:
		c.unfinishedAt = 0
	case c.unfinishedAt == 0:
		c.unfinishedAt = c.set.loop.Tick() + c.set.unfinished
		c.arm(c.unfinishedAt)
	}
}

// hold keeps bytes that came before the pause took hold: at most one read of
// the loop, because nothing is read while paused.
func (c *Conn) hold(b []byte) {
	if c.held == nil {
		c.held = new([]byte)
	}
	*c.held = append(*c.held, b...)
}

// Data implements ws.Sink.
func (c *Conn) Data(op ws.OpCode, payload []byte) bool {
	c.unfinishedAt = 0
	c.set.stats.Messages.Add(1)
	if c.state != open {
		return c.state == closing
	}
	c.handler.Message(c, op, payload)
	return c.reading()
}

// reading tells whether the decoder should go on.
func (c *Conn) reading() bool {
	return (c.state == open || c.state == closing) && !c.paused
}

// Control implements ws.Sink.
func (c *Conn) Control(op ws.OpCode, payload []byte) bool {
	if c.partial == nil {
		c.unfinishedAt = 0
	}
	switch op {
	case ws.OpPing:
		c.ping(payload)
	case ws.OpPong:
		// An unsolicited pong is legal (RFC 6455, 5.5.3) and means nothing
		// but life, which every byte is.
		c.set.stats.Pongs.Add(1)
	case ws.OpClose:
		c.peerClosed(payload)
	}
	return c.reading()
}

func (c *Conn) ping(payload []byte) {
	c.set.stats.Pings.Add(1)
	if rate := c.set.options.PingRate; rate > 0 {
		second := uint32(c.set.loop.Now().Unix())
		if second != c.pingSecond {
			c.pingSecond, c.pings = second, 0
		}
		if c.pings++; int(c.pings) > min(rate, 254) {
			c.fail(code.ClosePolicy, "too many pings")
			return
		}
	}
	frame := make([]byte, 0, ws.HeaderSize(len(payload))+len(payload))
	c.Send(ws.AppendFrame(frame, ws.OpPong, payload), Reply)
}

// PauseReads stops Handler.Message until ResumeReads; what the peer sends
// stays with it. The peer cannot time out meanwhile: it is we who are deaf.
func (c *Conn) PauseReads() {
	if c.paused || c.state != open {
		return
	}
	c.paused, c.resuming = true, false
	c.transport.PauseReads()
}

// ResumeReads continues, from the loop, never from inside this call.
func (c *Conn) ResumeReads() {
	if !c.paused || c.state >= ended {
		return
	}
	c.paused, c.resuming = false, true
	c.mark()
}

// resume decodes what was held, and reads on unless that paused again.
func (c *Conn) resume() {
	c.resuming = false
	c.lastRead = c.set.loop.Tick()
	if c.unfinishedAt != 0 {
		c.unfinishedAt = c.set.loop.Tick() + c.set.unfinished
	}
	if held := c.held; held != nil {
		c.held = nil
		c.receive(*held)
	}
	if !c.paused && c.state < ended {
		c.transport.ResumeReads()
	}
}
