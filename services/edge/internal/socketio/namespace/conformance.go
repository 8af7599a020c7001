package namespace

import (
	"bytes"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/codec/socketio"
	"github.com/confab-chat/confab/services/edge/internal/socketio/engine"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// authPause is the time between the answer to CONNECT and the auth event. The suite's
// clients start to listen for the second when they have received the first.
const authPause = 5 * time.Millisecond

// bareSocket is a client in a namespace of the conformance mode. It is sent the auth
// payload that it gave, and its own events where the namespace echoes.
type bareSocket struct {
	*engine.Socket
	client *Client           // static
	ns     *Namespace        // static
	auth   []byte            // JSON
	timer  poll.PreciseTimer // for the auth event
}

func (c *Client) connectBare(ns *Namespace, auth []byte) {
	b := &bareSocket{Socket: c.conn, client: c, ns: ns, auth: []byte("{}")}
	if len(auth) > 0 {
		b.auth = bytes.Clone(auth)
	}
	c.sendConnected(ns, "")
	b.timer.Owner = b
	b.Loop().ArmPrecise(&b.timer, b.Loop().Uptime()+authPause)
	c.sockets = append(c.sockets, b)
}

// Expire implements poll.Expirer: it sends the auth event.
func (b *bareSocket) Expire() { b.Send(b.ns.AppendEvent(nil, "auth", b.auth), conn.Reply) }

func (b *bareSocket) namespace() string      { return b.ns.Namespace }
func (b *bareSocket) wantsAttachments() bool { return true }
func (b *bareSocket) heartbeat()             {}
func (b *bareSocket) drained()               {}
func (b *bareSocket) closed(conn.Cause)      { b.Loop().DisarmPrecise(&b.timer) }

func (b *bareSocket) message(p socketio.Packet, _ []byte, attachments [][]byte) {
	name, rest, err := socketio.SplitEvent(p.Data)
	if err != nil {
		b.client.closeInvalid()
		return
	}
	if !b.ns.Echo {
		return
	}
	switch {
	case name == "message":
		b.echo(p.Type, codec.NoID, append([]byte(`["message-back"`), rest...), attachments)
	case name == "message-with-ack" && p.ID != codec.NoID:
		arguments := bytes.TrimPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte(","))
		b.echo(p.Type+(socketio.Ack-socketio.Event), p.ID, append([]byte("["), arguments...), attachments)
	}
}

// echo sends a packet and its attachments.
func (b *bareSocket) echo(t socketio.Type, id int64, data []byte, attachments [][]byte) {
	frames := b.ns.AppendRaw(nil, t, len(attachments), id, data)
	for _, a := range attachments {
		frames = ws.AppendFrame(frames, ws.OpBinary, a)
	}
	b.Send(frames, conn.Reply)
}

var _ socket = (*bareSocket)(nil)
