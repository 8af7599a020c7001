package namespace

import (
	"bytes"
	"encoding/json"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/codec/socketio"
	"github.com/confab-chat/confab/services/edge/internal/socketio/engine"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
)

// maxRefused is how many CONNECTs of a connection may be refused before it is closed.
const maxRefused = 16

// Client is one connection with the namespaces that it has joined. It implements
// engine.Handler. Owned by the connection's loop.
type Client struct {
	server  *Server // static
	socket  *engine.Socket
	token   string   // of the handshake, empty for none
	spaces  []space  // joined, or about to be; one, nearly always
	partial *partial // a packet whose attachments have not all come
	paused  int      // spaces that want no events at the moment
	refused int      // CONNECTs
}

// space is a client in a namespace.
type space interface {
	namespace() string
	// event brings an event packet, raw and parsed, and its attachments.
	event(p socketio.Packet, raw []byte, attachments [][]byte)
	// wantsAttachments tells whether event looks at their bytes.
	wantsAttachments() bool
	heartbeat()
	drained()
	// end is the last call.
	end(conn.Cause)
}

// partial is a packet on its way.
type partial struct {
	raw  []byte
	left int
	got  [][]byte
}

// Opened implements engine.Handler.
func (c *Client) Opened(s *engine.Socket) {
	c.socket = s
	s.Limit(c.server.ConnectTimeout)
}

// Message implements engine.Handler.
func (c *Client) Message(_ *engine.Socket, binary bool, data []byte) {
	if binary {
		c.attachment(data)
		return
	}
	p, err := socketio.Parse(data)
	if err != nil || c.partial != nil {
		c.invalid()
		return
	}
	if p.Type == socketio.Connect {
		c.connect(p)
		return
	}
	i := c.index(p.Namespace)
	if i < 0 { // it has not joined, or has left
		c.invalid()
		return
	}
	switch p.Type {
	case socketio.Disconnect:
		left := c.spaces[i]
		c.drop(i)
		left.end(conn.Cause{Kind: conn.Clean, Code: code.CloseNormal})
	case socketio.Event:
		c.spaces[i].event(p, data, nil)
	case socketio.BinaryEvent, socketio.BinaryAck:
		c.await(p, data)
	case socketio.Ack: // we ask for none: nobody waits for it
	}
}

// await begins a packet with attachments.
func (c *Client) await(p socketio.Packet, raw []byte) {
	if socketio.CheckAttachments(p) != nil {
		c.invalid()
		return
	}
	c.partial = &partial{raw: bytes.Clone(raw), left: p.Attachments}
	c.complete()
}

func (c *Client) attachment(data []byte) {
	if c.partial == nil {
		c.invalid()
		return
	}
	p, _ := socketio.Parse(c.partial.raw) // it was parsed before
	if i := c.index(p.Namespace); i >= 0 && c.spaces[i].wantsAttachments() {
		c.partial.got = append(c.partial.got, bytes.Clone(data))
	}
	c.partial.left--
	c.complete()
}

// complete hands the packet over when all of it is there.
func (c *Client) complete() {
	if c.partial.left > 0 {
		return
	}
	whole := c.partial
	c.partial = nil
	p, _ := socketio.Parse(whole.raw)
	if i := c.index(p.Namespace); i >= 0 && p.Type == socketio.BinaryEvent {
		c.spaces[i].event(p, whole.raw, whole.got)
	}
}

// invalid ends the connection of a client that does not speak the protocol.
func (c *Client) invalid() { c.socket.Close(code.ClosePolicy, "invalid packet") }

// Heartbeat implements engine.Handler.
func (c *Client) Heartbeat(*engine.Socket) {
	for _, s := range c.spaces {
		s.heartbeat()
	}
}

// Drained implements engine.Handler.
func (c *Client) Drained(*engine.Socket) {
	for _, s := range c.spaces {
		s.drained()
	}
}

// Closed implements engine.Handler.
func (c *Client) Closed(_ *engine.Socket, cause conn.Cause) {
	spaces := c.spaces
	c.spaces, c.partial = nil, nil
	for _, s := range spaces {
		s.end(cause)
	}
}

// connect lets the client into a namespace, or refuses.
func (c *Client) connect(p socketio.Packet) {
	if c.index(p.Namespace) >= 0 { // a second time
		c.invalid()
		return
	}
	ns := c.server.find(p.Namespace)
	switch {
	case ns == nil:
		unknown := socketio.Codec{Namespace: p.Namespace}
		c.refuse(unknown.AppendConnectError(nil, "Invalid namespace", nil))
	case ns.Bare:
		c.join(openBare(c, ns, p.Data))
	default:
		c.connectSession(ns, p.Data)
	}
}

// refuse answers a CONNECT.
func (c *Client) refuse(frame []byte) {
	c.socket.Send(frame, conn.Reply)
	if c.refused++; c.refused >= maxRefused {
		c.socket.Close(code.ClosePolicy, "too many refused namespaces")
	}
}

// join puts the client into a namespace.
func (c *Client) join(s space) { c.spaces = append(c.spaces, s) }

// joined says that a CONNECT was granted.
func (c *Client) joined() { c.socket.Limit(0) }

func (c *Client) index(namespace string) int {
	for i, s := range c.spaces {
		if s.namespace() == namespace {
			return i
		}
	}
	return -1
}

func (c *Client) drop(i int) {
	last := len(c.spaces) - 1
	c.spaces[i] = c.spaces[last]
	c.spaces[last] = nil
	c.spaces = c.spaces[:last]
}

// pause stops events while any space wants none.
func (c *Client) pause(on bool) {
	if on {
		if c.paused++; c.paused == 1 {
			c.socket.PauseReads()
		}
	} else if c.paused--; c.paused == 0 {
		c.socket.ResumeReads()
	}
}

// credentials are what a CONNECT brings that concerns us. What is no string counts
// as not given.
type credentials struct{ token, pid, offset string }

func parseCredentials(data []byte) credentials {
	var raw struct {
		Token  any `json:"token"`
		PID    any `json:"pid"`
		Offset any `json:"offset"`
	}
	var c credentials
	if len(data) > 0 && json.Unmarshal(data, &raw) == nil {
		c.token, _ = raw.Token.(string)
		c.pid, _ = raw.PID.(string)
		c.offset, _ = raw.Offset.(string)
	}
	return c
}

var _ engine.Handler = (*Client)(nil)
