package namespace

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/confab-chat/confab/proto/socketio"
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
	name, arguments, err := socketio.SplitEvent(p.Data)
	switch {
	case err != nil:
		b.client.closeInvalid()
	case !b.ns.Echo:
	case name == "message":
		b.echo(p.Type, socketio.NoID, append([]json.RawMessage{[]byte(`"message-back"`)}, arguments...), attachments)
	case name == "message-with-ack" && p.ID != socketio.NoID:
		b.echo(p.Type+(socketio.Ack-socketio.Event), p.ID, arguments, attachments)
	}
}

// echo sends a packet with a payload of the items, and its attachments.
func (b *bareSocket) echo(t socketio.Type, id int64, items []json.RawMessage, attachments [][]byte) {
	payload := []byte{'['}
	for i, item := range items {
		if i > 0 {
			payload = append(payload, ',')
		}
		payload = append(payload, item...)
	}
	frames := b.ns.AppendPacket(nil, t, len(attachments), id, append(payload, ']'))
	for _, a := range attachments {
		frames = ws.AppendFrame(frames, ws.OpBinary, a)
	}
	b.Send(frames, conn.Reply)
}
