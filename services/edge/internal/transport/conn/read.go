package conn

import (
	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// Readable implements poll.Handler.
func (c *Conn) Readable(b []byte) {
	defer c.recoverPanic()
	c.factory.stats.BytesIn.Add(uint64(len(b)))
	c.noteActivity()
	c.decode(b)
}

// noteActivity records that the peer is alive.
func (c *Conn) noteActivity() {
	if tick := c.factory.loop.Tick(); tick != c.lastRead {
		c.lastRead, c.pings = tick, 0
	}
}

// decode passes the messages in b to the handler, as far as it reads on.
func (c *Conn) decode(b []byte) {
	switch c.state {
	case open, closing: // while closing, the peer's close frame is looked for
	default:
		return
	}
	if c.reads == paused || c.coldState().held != nil {
		c.holdBytes(b)
		return
	}
	rest, err := c.factory.decoder.Feed(&c.partial, b, c)
	if err != nil {
		c.failProtocol(err)
		return
	}
	if len(rest) > 0 && c.reads == paused {
		c.holdBytes(rest)
	}
	if c.partial != nil && c.partial.Until == 0 {
		c.restartMessageTimeout()
		c.armBy(c.partial.Until)
	}
}

// restartMessageTimeout gives an unfinished message its full time.
func (c *Conn) restartMessageTimeout() {
	if c.partial != nil {
		c.partial.Until = c.factory.loop.Tick() + c.factory.unfinished
	}
}

// messageDeadline returns the tick by which an unfinished message must be whole, 0
// without one.
func (c *Conn) messageDeadline() uint32 {
	if c.partial == nil {
		return 0
	}
	return c.partial.Until
}

// holdBytes keeps bytes that were read before the pause took effect: at most one read
// of the loop, because nothing is read while paused.
func (c *Conn) holdBytes(b []byte) {
	t := c.ensureCold()
	t.held = append(t.held, b...)
}

// Data implements ws.Sink.
func (c *Conn) Data(op ws.OpCode, payload []byte) bool {
	c.factory.stats.Messages.Add(1)
	if c.state != open {
		return c.state == closing
	}
	c.handler.Message(c, op, payload)
	return c.wantsMore()
}

// wantsMore reports whether the decoder should go on.
func (c *Conn) wantsMore() bool {
	return (c.state == open || c.state == closing) && c.reads != paused
}

// Control implements ws.Sink.
func (c *Conn) Control(op ws.OpCode, payload []byte) bool {
	switch op {
	case ws.OpPing:
		c.ping(payload)
	case ws.OpPong:
		// An unsolicited pong is legal (RFC 6455, 5.5.3). Like every byte it shows that
		// the peer is alive, and nothing more.
		c.factory.stats.Pongs.Add(1)
	case ws.OpClose:
		c.peerClosed(payload)
	}
	return c.wantsMore()
}

func (c *Conn) ping(payload []byte) {
	if rate := c.factory.options.PingRate; rate > 0 {
		if c.pings++; int(c.pings) > min(rate, 254) {
			c.fail(code.ClosePolicy, "too many pings")
			return
		}
	}
	c.Send(ws.AppendFrame(nil, ws.OpPong, payload), Reply)
}

// PauseReads stops Handler.Message until ResumeReads; the system's buffers hold back what
// the peer sends. Heartbeat timeouts are suspended while reads are paused.
func (c *Conn) PauseReads() {
	if c.reads == paused || c.state != open {
		return
	}
	c.reads = paused
	c.transport.PauseReads()
}

// ResumeReads ends PauseReads. Messages follow later in this turn of the loop, never
// from inside this call.
func (c *Conn) ResumeReads() {
	if c.reads != paused || c.state >= ended {
		return
	}
	c.reads = resuming
	c.scheduleFlush()
}

// resumeReading decodes what was held, and reads on unless that paused reads again.
func (c *Conn) resumeReading() {
	c.reads = reading
	c.noteActivity()
	c.restartMessageTimeout()
	if held := c.coldState().held; held != nil {
		c.cold.held = nil
		c.decode(held)
	}
	if c.reads != paused && c.state < ended {
		c.transport.ResumeReads()
	}
}
