package conn

import "github.com/confab-chat/confab/proto/code"

// arm moves the timer to an earlier tick; it never moves it away.
func (c *Conn) arm(at uint32) {
	if !c.timer.Armed() || at < c.timer.At() {
		c.factory.loop.Arm(&c.timer, at)
	}
}

// Expire implements poll.Expirer: it looks at every deadline, because the one
// for which the timer was armed may have moved since.
func (c *Conn) Expire() {
	defer c.guard()
	now, t := c.factory.loop.Tick(), c.troubles()
	switch {
	case due(t.closeAt, now):
		c.giveUp()
	case due(t.stallAt, now):
		if c.state == open {
			c.factory.stats.Slow.Add(1)
		}
		c.Abort(code.CloseSlowConsumer)
	case c.state == open:
		c.inspect(now)
	}
	c.rearm()
}

// inspect looks at what only an open connection has.
func (c *Conn) inspect(now uint32) {
	if c.reads == paused {
		c.hear()
		c.granted()
	}
	switch {
	case due(c.unfinishedAt(), now):
		c.fail(code.ClosePolicy, "message unfinished")
	case c.factory.heartbeat > 0 && now >= c.deafAt():
		c.Close(code.CloseHeartbeatTimeout, "")
	case due(c.pingAt, now):
		c.pingAt = now + c.factory.heartbeat
		c.handler.Heartbeat(c)
		c.Send(c.factory.ping, Reply)
	}
}

// giveUp ends a close handshake that the peer does not finish.
func (c *Conn) giveUp() {
	if k := c.troubles().cause.Code; c.first != nil || k == code.CloseSlowConsumer {
		c.Abort(k) // it does not read: nothing of ours should wait for it
		return
	}
	c.transport.Close()
	c.end()
}

// deafAt is when two heartbeat intervals have gone by without a byte. The one
// tick more is for the byte that came at the end of its tick.
func (c *Conn) deafAt() uint32 { return c.lastRead + 2*c.factory.heartbeat + 1 }

// rearm arms the timer for the earliest deadline.
func (c *Conn) rearm() {
	if c.state >= ended {
		return
	}
	t := c.troubles()
	deadlines := [...]uint32{t.closeAt, t.stallAt, 0, 0, 0}
	if c.state == open {
		deadlines[2], deadlines[3] = c.unfinishedAt(), c.pingAt
		if c.factory.heartbeat > 0 {
			deadlines[4] = c.deafAt()
		}
	}
	for _, at := range deadlines {
		if at != 0 {
			c.arm(at)
		}
	}
}

func due(at, now uint32) bool { return at != 0 && now >= at }
