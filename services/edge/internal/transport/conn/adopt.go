package conn

import (
	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// Deliver brings a message that did not come as frames: long-polling has others. The
// handler may change payload. It returns false when nothing more is wanted, for ever
// or until the transport's ResumeReads.
func (c *Conn) Deliver(op ws.OpCode, payload []byte) (more bool) {
	defer c.guard()
	c.factory.stats.BytesIn.Add(uint64(len(payload)))
	c.hear()
	return c.Data(op, payload)
}

// Replace moves old's unwritten queue, its pause of reads and its wish for Drained to c,
// and ends old. Both must be open and on the same loop.
func (c *Conn) Replace(old *Conn) {
	if first := old.first; first != nil {
		c.push(first, old.firstClass)
		if old.more != nil {
			for _, e := range old.more.entries[old.more.head:] {
				c.push(e.frames, e.class)
			}
		}
	}
	if old.drain {
		c.NotifyDrained()
	}
	if old.reads == paused {
		c.PauseReads()
	}
	old.inTrouble().cause = Cause{Kind: Ours, Code: code.CloseNormal}
	old.transport.Close()
	old.end()
}

// Paused tells whether reads are paused.
func (c *Conn) Paused() bool { return c.reads == paused }

// Closing tells whether the end has begun.
func (c *Conn) Closing() bool { return c.state != open }
