package conn

import (
	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// Readable implements poll.Handler.
func (c *Conn) Readable(b []byte) {
	defer c.guard()
	c.factory.stats.BytesIn.Add(uint64(len(b)))
	c.hear()
	c.receive(b)
}

// hear notes that the peer lives.
func (c *Conn) hear() {
	if tick := c.factory.loop.Tick(); tick != c.lastRead {
		c.lastRead, c.pings = tick, 0
	}
}

// receive decodes b as far as the handler wants.
func (c *Conn) receive(b []byte) {
	switch c.state {
	case open, closing: // while closing, the peer's close frame is looked for
	default:
		return
	}
	if c.reads == paused || c.troubles().held != nil {
		c.hold(b)
		return
	}
	rest, err := c.factory.decoder.Feed(&c.partial, b, c)
	if err != nil {
		c.violate(err)
		return
	}
	if len(rest) > 0 && c.reads == paused {
		c.hold(rest)
	}
	if c.partial != nil && c.partial.Until == 0 {
		c.granted()
		c.arm(c.partial.Until)
	}
}

// granted gives what is unfinished its full time.
func (c *Conn) granted() {
	if c.partial != nil {
		c.partial.Until = c.factory.loop.Tick() + c.factory.unfinished
	}
}

// unfinishedAt is the tick by which what is unfinished must be whole, 0 without any.
func (c *Conn) unfinishedAt() uint32 {
	if c.partial == nil {
		return 0
	}
	return c.partial.Until
}

// hold keeps bytes that came before the pause took hold: at most one read of
// the loop, because nothing is read while paused.
func (c *Conn) hold(b []byte) {
	t := c.inTrouble()
	t.held = append(t.held, b...)
}

// Data implements ws.Sink.
func (c *Conn) Data(op ws.OpCode, payload []byte) bool {
	c.factory.stats.Messages.Add(1)
	if c.state != open {
		return c.state == closing
	}
	c.handler.Message(c, op, payload)
	return c.reading()
}

// reading tells whether the decoder should go on.
func (c *Conn) reading() bool {
	return (c.state == open || c.state == closing) && c.reads != paused
}

// Control implements ws.Sink.
func (c *Conn) Control(op ws.OpCode, payload []byte) bool {
	switch op {
	case ws.OpPing:
		c.ping(payload)
	case ws.OpPong:
		// An unsolicited pong is legal (RFC 6455, 5.5.3) and means nothing
		// but life, which every byte is.
		c.factory.stats.Pongs.Add(1)
	case ws.OpClose:
		c.peerClosed(payload)
	}
	return c.reading()
}

func (c *Conn) ping(payload []byte) {
	c.factory.stats.Pings.Add(1)
	if rate := c.factory.options.PingRate; rate > 0 {
		if c.pings++; int(c.pings) > min(rate, 254) {
			c.fail(code.ClosePolicy, "too many pings")
			return
		}
	}
	c.Send(ws.AppendFrame(nil, ws.OpPong, payload), Reply)
}

// PauseReads stops Handler.Message until ResumeReads; what the peer sends
// stays with it. The peer cannot time out meanwhile: it is we who are deaf.
func (c *Conn) PauseReads() {
	if c.reads == paused || c.state != open {
		return
	}
	c.reads = paused
	c.transport.PauseReads()
}

// ResumeReads continues, from the loop, never from inside this call.
func (c *Conn) ResumeReads() {
	if c.reads != paused || c.state >= ended {
		return
	}
	c.reads = resuming
	c.mark()
}

// resume decodes what was held, and reads on unless that paused again.
func (c *Conn) resume() {
	c.reads = flowing
	c.hear()
	c.granted()
	if held := c.troubles().held; held != nil {
		c.trouble.held = nil
		c.receive(held)
	}
	if c.reads != paused && c.state < ended {
		c.transport.ResumeReads()
	}
}
