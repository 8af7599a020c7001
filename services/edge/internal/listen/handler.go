package listen

import (
	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// counted wraps the handler of a connection that counts for its address.
type counted struct {
	conn.Handler
	release func()
}

// ConnSlot implements conn.Holder.
func (c counted) ConnSlot() *conn.Conn { return conn.SlotFor(c.Handler) }

func (c counted) Closed(k *conn.Conn, cause conn.Cause) {
	defer c.release()
	c.Handler.Closed(k, cause)
}

// closeOnOpen is the handler of a connection that is opened only to send a close
// code.
type closeOnOpen struct{ code code.Close }

func (f closeOnOpen) Opened(c *conn.Conn)                 { c.Close(f.code, "") }
func (closeOnOpen) Message(*conn.Conn, ws.OpCode, []byte) {}
func (closeOnOpen) Heartbeat(*conn.Conn)                  {}
func (closeOnOpen) Drained(*conn.Conn)                    {}
func (closeOnOpen) Closed(*conn.Conn, conn.Cause)         {}
