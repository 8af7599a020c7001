package conn

import "github.com/confab-chat/confab/services/edge/internal/transport/ws"

// Echo is a handler that sends every message back: the conformance door.
type Echo struct{}

func (Echo) Opened(*Conn)    {}
func (Echo) Heartbeat(*Conn) {}

// Message echoes, and stops reading while the peer does not take the echo.
func (Echo) Message(c *Conn, op ws.OpCode, payload []byte) {
	c.Send(ws.AppendFrame(nil, op, payload), Reply)
	if c.Queued() > echoAhead {
		c.PauseReads()
		c.NotifyDrained()
	}
}

// echoAhead is how many bytes of echo may wait before reading stops.
const echoAhead = 64 << 10

func (Echo) Drained(c *Conn)     { c.ResumeReads() }
func (Echo) Closed(*Conn, Cause) {}

var _ Handler = Echo{}
