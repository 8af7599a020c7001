package conn

import "github.com/confab-chat/confab/proto/code"

// armBy makes the timer expire at the tick at, or earlier if it is armed so.
func (c *Conn) armBy(at uint32) {
	if !c.timer.Armed() || at < c.timer.At() {
		c.factory.loop.Arm(&c.timer, at)
	}
}

// Expire implements poll.Expirer. It checks every deadline, because the one for which
// the timer was armed may have moved since.
func (c *Conn) Expire() {
	defer c.recoverPanic()
	now, t := c.factory.loop.Tick(), c.coldState()
	switch {
	case due(t.closeAt, now):
		c.abandonClose()
	case due(t.stallAt, now):
		if c.state == open {
			c.factory.stats.Slow.Add(1)
		}
		c.Abort(code.CloseSlowConsumer)
	case c.state == open:
		c.checkOpen(now)
	}
	c.armEarliest()
}

// checkOpen checks the deadlines that only an open connection has.
func (c *Conn) checkOpen(now uint32) {
	if c.reads == paused {
		c.noteActivity()
		c.restartMessageTimeout()
	}
	switch {
	case due(c.messageDeadline(), now):
		c.fail(code.ClosePolicy, "message unfinished")
	case c.factory.heartbeat > 0 && now >= c.heartbeatDeadline():
		c.Close(code.CloseHeartbeatTimeout, "")
	case due(c.pingAt, now):
		c.pingAt = now + c.factory.heartbeat
		c.handler.Heartbeat(c)
		c.Send(c.factory.ping, Reply)
	}
}

// abandonClose ends a close handshake that the peer does not finish.
func (c *Conn) abandonClose() {
	if k := c.coldState().cause.Code; c.first != nil || k == code.CloseSlowConsumer {
		c.Abort(k) // it does not read: do not keep its queue
		return
	}
	c.transport.Close()
	c.release()
}

// heartbeatDeadline returns the tick at which two heartbeat intervals have passed without
// a byte. The extra tick is for a byte that arrived at the end of its tick.
func (c *Conn) heartbeatDeadline() uint32 { return c.lastRead + 2*c.factory.heartbeat + 1 }

// armEarliest arms the timer for the earliest deadline.
func (c *Conn) armEarliest() {
	if c.state >= ended {
		return
	}
	t := c.coldState()
	deadlines := [...]uint32{t.closeAt, t.stallAt, 0, 0, 0}
	if c.state == open {
		deadlines[2], deadlines[3] = c.messageDeadline(), c.pingAt
		if c.factory.heartbeat > 0 {
			deadlines[4] = c.heartbeatDeadline()
		}
	}
	for _, at := range deadlines {
		if at != 0 {
			c.armBy(at)
		}
	}
}

func due(at, now uint32) bool { return at != 0 && now >= at }
