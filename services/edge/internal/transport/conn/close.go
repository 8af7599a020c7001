package conn

import (
	"errors"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// Close starts the close handshake (RFC 6455, section 7.1.2) behind what is
// queued; no message follows. An empty reason means k.String(). The server closes TCP
// when the peer has answered, or after Options.Closing.
func (c *Conn) Close(k code.Close, reason string) {
	if c.state != open {
		return
	}
	c.startClose(closing, Cause{Kind: Ours, Code: k}, reason)
	if c.reads == paused { // the answer must be read
		c.ResumeReads()
	}
}

// fail is Close for a peer that broke the protocol: nothing more is read, and TCP lingers
// so that the reason arrives.
func (c *Conn) fail(k code.Close, reason string) {
	switch c.state {
	case open:
		c.startClose(failing, Cause{Kind: Ours, Code: k}, reason)
	case closing: // the close frame is queued already
		c.state = failing
		c.scheduleFlush()
	}
}

func (c *Conn) failProtocol(err error) {
	var v *ws.Violation
	if errors.As(err, &v) {
		c.fail(code.Close(v.Code), v.Reason)
		return
	}
	c.fail(code.CloseInternal, "")
}

// startClose queues the close frame and starts the closing timeout.
func (c *Conn) startClose(s state, cause Cause, reason string) {
	if reason == "" {
		reason = cause.Code.String()
	}
	if cause.Code == CodeNone {
		reason = ""
	}
	t := c.ensureCold()
	t.cause = cause
	c.state = s
	c.wantsDrained = false
	c.push(ws.AppendClose(nil, ws.StatusCode(cause.Code), reason), Reply)
	t.closeAt = c.factory.loop.Tick() + c.factory.closing + 1
	c.armBy(t.closeAt)
}

// peerClosed answers the peer's close frame.
func (c *Conn) peerClosed(payload []byte) {
	status, _, err := ws.ParseClose(payload)
	if err != nil {
		c.failProtocol(err)
		return
	}
	if c.state == closing { // the answer to the server's
		c.state = replied
		c.scheduleFlush()
		return
	}
	kind := Lost
	if status == 1000 || status == 1001 {
		kind = Clean
	}
	c.startClose(replied, Cause{Kind: kind, Code: code.Close(status)}, "")
}

// Abort resets the connection, losing what is queued. The cause is Ours with
// code k.
func (c *Conn) Abort(k code.Close) {
	if c.state >= ended {
		return
	}
	if c.state == open {
		c.ensureCold().cause = Cause{Kind: Ours, Code: k}
	}
	c.transport.Abort()
	c.release()
}

// Closed implements poll.Handler: the server did not close the transport.
func (c *Conn) Closed(reason error) {
	t := c.ensureCold()
	if c.state == open {
		t.cause = Cause{Kind: Lost, Code: CodeAbnormal}
	}
	t.cause.Err = reason
	c.release()
}

// release frees what c holds and schedules Handler.Closed.
func (c *Conn) release() {
	if c.state >= ended {
		return
	}
	c.state = ended
	c.factory.loop.Disarm(&c.timer)
	c.factory.decoder.Release(&c.partial)
	c.started = false
	c.dropAll()
	c.queued = 0 // also what was partly written
	c.updateQueued()
	c.ensureCold().held = nil
	c.scheduleFlush()
}
