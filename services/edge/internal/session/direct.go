package session

import (
	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// Direct is a session with a WebSocket of its own, whose every text message is one
// request. It and its connection are one object.
type Direct struct {
	Session
	conn conn.Conn // see ConnSlot
}

// NewDirect is New for such a session.
func (c *Core) NewDirect(l *poll.Loop, id auth.Identity, place uint8) *Direct {
	return &Direct{Session: c.session(l, id, place)}
}

// ConnSlot implements conn.Holder.
func (d *Direct) ConnSlot() *conn.Conn { return &d.conn }

// Opened implements conn.Handler.
func (d *Direct) Opened(c *conn.Conn) { d.Open(c) }

// Message implements conn.Handler.
func (d *Direct) Message(c *conn.Conn, op ws.OpCode, payload []byte) {
	if op != ws.OpText {
		c.Close(code.CloseUnsupportedData, "")
		return
	}
	d.Receive(payload)
}

// Heartbeat implements conn.Handler.
func (d *Direct) Heartbeat(*conn.Conn) { d.Beat() }

// Drained implements conn.Handler.
func (d *Direct) Drained(*conn.Conn) { d.Emptied() }

// Closed implements conn.Handler.
func (d *Direct) Closed(_ *conn.Conn, cause conn.Cause) { d.End(cause) }

var _ conn.Holder = (*Direct)(nil)
