package conn

import "github.com/confab-chat/confab/services/edge/internal/transport/ws"

// EchoHandler is a handler that sends every message back: the conformance door.
type EchoHandler struct{}

func (EchoHandler) Opened(*Conn)    {}
func (EchoHandler) Heartbeat(*Conn) {}

// Message echoes, and stops reading while the peer does not take the echo.
func (EchoHandler) Message(c *Conn, op ws.OpCode, payload []byte) {
	c.Send(ws.AppendFrame(nil, op, payload), Reply)
	if c.Queued() > echoAhead {
		c.PauseReads()
		c.NotifyDrained()
	}
}

// echoAhead is how many bytes of echo may wait before reading stops.
const echoAhead = 64 << 10

func (EchoHandler) Drained(c *Conn)     { c.ResumeReads() }
func (EchoHandler) Closed(*Conn, Cause) {}

var _ Handler = EchoHandler{}
