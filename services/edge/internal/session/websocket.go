package session

import (
	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// WebSocketSession is a session with a WebSocket of its own, whose every text message is
// one request. It and its connection are one object.
type WebSocketSession struct {
	Session
	conn conn.Conn // see ConnSlot
}

// NewWebSocket is New for such a session.
func (c *Core) NewWebSocket(l *poll.Loop, id auth.Identity, place uint8) *WebSocketSession {
	return &WebSocketSession{Session: c.session(l, id, place)}
}

// Message implements conn.Handler.
func (s *WebSocketSession) Message(c *conn.Conn, op ws.OpCode, payload []byte) {
	if op != ws.OpText {
		c.Close(code.CloseUnsupportedData, "")
		return
	}
	s.Session.Message(payload)
}

// The other methods of conn.Holder.

func (s *WebSocketSession) ConnSlot() *conn.Conn                  { return &s.conn }
func (s *WebSocketSession) Opened(c *conn.Conn)                   { s.Session.Opened(c) }
func (s *WebSocketSession) Heartbeat(*conn.Conn)                  { s.Session.Heartbeat() }
func (s *WebSocketSession) Drained(*conn.Conn)                    { s.Session.Drained() }
func (s *WebSocketSession) Closed(_ *conn.Conn, cause conn.Cause) { s.Session.Closed(cause) }

var _ conn.Holder = (*WebSocketSession)(nil)
