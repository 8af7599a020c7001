package conn

import (
	"errors"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// Close starts the close handshake (RFC 6455, section 7.1.2) behind what is
// queued; no message follows. An empty reason means k.String(). When the peer
// has answered, or after Options.Closing, TCP is closed by us.
func (c *Conn) Close(k code.Close, reason string) {
	if c.state != open {
		return
	}
	c.begin(closing, Cause{Kind: Ours, Code: k}, reason)
	if c.reads == paused { // the answer must be read
		c.ResumeReads()
	}
}

// fail is Close for a peer whose bytes make no sense any more, or are not
// wanted: nothing is read, and TCP lingers so that the reason arrives.
func (c *Conn) fail(k code.Close, reason string) {
	switch c.state {
	case open:
		c.begin(failing, Cause{Kind: Ours, Code: k}, reason)
	case closing: // our close frame is on its way already
		c.state = failing
		c.mark()
	}
}

func (c *Conn) violate(err error) {
	var v *ws.Violation
	if errors.As(err, &v) {
		c.fail(code.Close(v.Code), v.Reason)
		return
	}
	c.fail(code.CloseInternal, "")
}

// begin queues the close frame and starts the clock of the end.
func (c *Conn) begin(s state, cause Cause, reason string) {
	if reason == "" {
		reason = cause.Code.String()
	}
	if cause.Code == CodeNone {
		reason = ""
	}
	t := c.inTrouble()
	t.cause = cause
	c.state = s
	c.drain = false
	c.push(ws.AppendClose(nil, ws.StatusCode(cause.Code), reason), Reply)
	t.closeAt = c.factory.loop.Tick() + c.factory.closing + 1
	c.arm(t.closeAt)
}

// peerClosed answers the peer's close frame.
func (c *Conn) peerClosed(payload []byte) {
	status, _, err := ws.ParseClose(payload)
	if err != nil {
		c.violate(err)
		return
	}
	if c.state == closing { // this is the answer to ours
		c.state = replied
		c.mark()
		return
	}
	kind := Lost
	if status == 1000 || status == 1001 {
		kind = Clean
	}
	c.begin(replied, Cause{Kind: kind, Code: code.Close(status)}, "")
}

// Abort resets the connection, losing what is queued. The cause is Ours with
// code k.
func (c *Conn) Abort(k code.Close) {
	if c.state >= ended {
		return
	}
	if c.state == open {
		c.inTrouble().cause = Cause{Kind: Ours, Code: k}
	}
	c.transport.Abort()
	c.end()
}

// Closed implements poll.Handler.
func (c *Conn) Closed(reason error) { c.lost(reason) }

// lost notes that the transport has ended by itself.
func (c *Conn) lost(err error) {
	t := c.inTrouble()
	if c.state == open {
		t.cause = Cause{Kind: Lost, Code: CodeAbnormal}
	}
	t.cause.Err = err
	c.end()
}

// linger leaves the transport to an owner that only waits for the peer to go.
func (c *Conn) linger() {
	poll.Linger(c.transport, c.factory.options.Closing)
	c.end()
}

// end gives everything back and lets Closed follow.
func (c *Conn) end() {
	if c.state >= ended {
		return
	}
	c.state = ended
	c.factory.loop.Disarm(&c.timer)
	c.factory.decoder.Release(&c.partial)
	c.started = false
	c.dropAll()
	c.queued = 0 // also what was partly written
	c.report()
	c.inTrouble().held = nil
	c.mark()
}
