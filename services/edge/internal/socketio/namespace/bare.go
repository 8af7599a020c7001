package namespace

import (
	"bytes"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/codec/socketio"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// authPause is between the answer to CONNECT and the auth event. The suite's clients
// begin to listen for the second when they have seen the first.
const authPause = 5 * time.Millisecond

// bare is a client in a namespace of the conformance mode: it is told the auth
// payload that it gave, and where the namespace echoes, its own words.
type bare struct {
	client *Client    // static
	ns     *Namespace // static
	auth   []byte     // JSON
	alarm  poll.Alarm
}

func openBare(c *Client, ns *Namespace, auth []byte) *bare {
	b := &bare{client: c, ns: ns, auth: []byte("{}")}
	if len(auth) > 0 {
		b.auth = bytes.Clone(auth)
	}
	c.socket.Send(ns.AppendConnect(nil, newSID(), ""), conn.Reply)
	b.alarm.Owner = b
	l := c.socket.Loop()
	l.ArmAt(&b.alarm, l.Moment().After(authPause))
	c.joined()
	return b
}

// Expire implements poll.Expirer.
func (b *bare) Expire() {
	b.client.socket.Send(b.ns.AppendEvent(nil, "auth", b.auth), conn.Reply)
}

func (b *bare) namespace() string      { return b.ns.Namespace }
func (b *bare) wantsAttachments() bool { return true }
func (b *bare) heartbeat()             {}
func (b *bare) drained()               {}
func (b *bare) end(conn.Cause)         { b.client.socket.Loop().DisarmAt(&b.alarm) }

func (b *bare) event(p socketio.Packet, _ []byte, attachments [][]byte) {
	name, rest, err := socketio.SplitEvent(p.Data)
	if err != nil {
		b.client.invalid()
		return
	}
	if !b.ns.Echo {
		return
	}
	switch {
	case name == "message":
		b.say(p.Type, codec.NoID, append([]byte(`["message-back"`), rest...), attachments)
	case name == "message-with-ack" && p.ID != codec.NoID:
		arguments := bytes.TrimPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte(","))
		b.say(p.Type+(socketio.Ack-socketio.Event), p.ID, append([]byte("["), arguments...), attachments)
	}
}

func (b *bare) say(t socketio.Type, id int64, data []byte, attachments [][]byte) {
	frames := b.ns.AppendRaw(nil, t, len(attachments), id, data)
	for _, a := range attachments {
		frames = ws.AppendFrame(frames, ws.OpBinary, a)
	}
	b.client.socket.Send(frames, conn.Reply)
}

var _ space = (*bare)(nil)
