package listen

import (
	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// counted is a handler whose address counts its connections.
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

// farewell is the handler of a connection that is opened only to be closed
// with a code.
type farewell struct{ code code.Close }

func (f farewell) Opened(c *conn.Conn)                 { c.Close(f.code, "") }
func (farewell) Message(*conn.Conn, ws.OpCode, []byte) {}
func (farewell) Heartbeat(*conn.Conn)                  {}
func (farewell) Drained(*conn.Conn)                    {}
func (farewell) Closed(*conn.Conn, conn.Cause)         {}
