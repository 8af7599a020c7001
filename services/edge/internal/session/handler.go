package session

import (
	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/conn"
	"github.com/confab-chat/confab/services/edge/internal/ws"
)

// Opened implements conn.Handler.
func (s *Session) Opened(c *conn.Conn) { s.Open(c) }

// Message implements conn.Handler.
func (s *Session) Message(c *conn.Conn, op ws.OpCode, payload []byte) {
	if op != ws.OpText {
		c.Close(code.CloseUnsupportedData, "")
		return
	}
	s.Receive(payload)
}

// Heartbeat implements conn.Handler.
func (s *Session) Heartbeat(*conn.Conn) { s.Beat() }

// Drained implements conn.Handler.
func (s *Session) Drained(*conn.Conn) { s.Emptied() }

// Closed implements conn.Handler.
func (s *Session) Closed(_ *conn.Conn, cause conn.Cause) { s.End(cause) }

var _ conn.Handler = (*Session)(nil)
