package namespace

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"slices"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/socketio"
	"github.com/confab-chat/confab/services/edge/internal/codec/sio"
	"github.com/confab-chat/confab/services/edge/internal/socketio/engine"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
)

// maxRefused is how many CONNECT packets of a connection may be refused before it is
// closed.
const maxRefused = 16

// Client is one connection and the namespaces that it has joined. It implements
// engine.Handler. Owned by the connection's loop.
type Client struct {
	server  *Server        // static
	conn    *engine.Socket // static after Opened
	token   string         // of the handshake; empty for none
	sockets []socket       // namespaces that were joined, or are being joined; usually one
	partial *partial       // a packet whose attachments have not all come; nil for none
	paused  int            // sockets that have paused reads
	refused int            // CONNECT packets
}

// socket is a client in one namespace, as Socket.IO calls it. Its calls are those of
// engine.Handler.
type socket interface {
	namespace() string
	// message brings an event packet, raw and parsed, and its attachments.
	message(p socketio.Packet, raw []byte, attachments [][]byte)
	// wantsAttachments reports whether message uses their bytes.
	wantsAttachments() bool
	heartbeat()
	drained()
	// closed is the last call.
	closed(conn.Cause)
}

// partial is a packet whose attachments follow.
type partial struct {
	raw         []byte
	missing     int // attachments
	attachments [][]byte
}

// Opened implements engine.Handler.
func (c *Client) Opened(s *engine.Socket) {
	c.conn = s
	s.Limit(c.server.ConnectTimeout)
}

// Message implements engine.Handler.
func (c *Client) Message(_ *engine.Socket, binary bool, data []byte) {
	if binary {
		c.addAttachment(data)
		return
	}
	p, err := socketio.Parse(data)
	if err != nil || c.partial != nil || p.Type == socketio.ConnectError { // which only servers send
		c.closeInvalid()
		return
	}
	if p.Type == socketio.Connect {
		c.connect(p)
		return
	}
	i := c.index(string(p.Namespace))
	if i < 0 { // not joined, or left
		c.closeInvalid()
		return
	}
	switch p.Type {
	case socketio.Disconnect:
		left := c.sockets[i]
		c.sockets = slices.Delete(c.sockets, i, i+1)
		left.closed(conn.Cause{Kind: conn.Clean, Code: code.CloseNormal})
	case socketio.Event:
		c.sockets[i].message(p, data, nil)
	case socketio.BinaryEvent, socketio.BinaryAck:
		c.awaitAttachments(p, data)
	case socketio.Ack: // otherwise ignored: the server asks for no acknowledgements
		if !json.Valid(p.Data) {
			c.closeInvalid()
		}
	}
}

// awaitAttachments starts a packet with attachments.
func (c *Client) awaitAttachments(p socketio.Packet, raw []byte) {
	if socketio.CheckAttachments(p) != nil {
		c.closeInvalid()
		return
	}
	c.partial = &partial{raw: bytes.Clone(raw), missing: p.Attachments}
	c.deliverWhole()
}

func (c *Client) addAttachment(data []byte) {
	if c.partial == nil {
		c.closeInvalid()
		return
	}
	p, _ := socketio.Parse(c.partial.raw) // it was parsed before
	if i := c.index(string(p.Namespace)); i >= 0 && c.sockets[i].wantsAttachments() {
		c.partial.attachments = append(c.partial.attachments, bytes.Clone(data))
	}
	c.partial.missing--
	c.deliverWhole()
}

// deliverWhole delivers the packet when all its attachments have come.
func (c *Client) deliverWhole() {
	if c.partial.missing > 0 {
		return
	}
	whole := c.partial
	c.partial = nil
	p, _ := socketio.Parse(whole.raw)
	if i := c.index(string(p.Namespace)); i >= 0 && p.Type == socketio.BinaryEvent {
		c.sockets[i].message(p, whole.raw, whole.attachments)
	}
}

// closeInvalid ends the connection of a client that violates the protocol.
func (c *Client) closeInvalid() { c.conn.Close(code.ClosePolicy, "invalid packet") }

// Heartbeat implements engine.Handler.
func (c *Client) Heartbeat(*engine.Socket) {
	for _, s := range c.sockets {
		s.heartbeat()
	}
}

// Drained implements engine.Handler.
func (c *Client) Drained(*engine.Socket) {
	for _, s := range c.sockets {
		s.drained()
	}
}

// Closed implements engine.Handler.
func (c *Client) Closed(_ *engine.Socket, cause conn.Cause) {
	sockets := c.sockets
	c.sockets, c.partial = nil, nil
	for _, s := range sockets {
		s.closed(cause)
	}
}

// connect handles a CONNECT packet.
func (c *Client) connect(p socketio.Packet) {
	if c.index(string(p.Namespace)) >= 0 { // a second one for the same namespace
		c.closeInvalid()
		return
	}
	ns := c.server.find(string(p.Namespace))
	switch {
	case ns == nil:
		unknown := sio.Codec{Namespace: string(p.Namespace)}
		c.sendRefusal(unknown.AppendConnectError(nil, "Invalid namespace", nil))
	case ns.Bare:
		c.connectBare(ns, p.Data)
	default:
		c.connectSession(ns, p.Data)
	}
}

// sendRefusal sends the CONNECT_ERROR packet in frame.
func (c *Client) sendRefusal(frame []byte) {
	c.conn.Send(frame, conn.Reply)
	if c.refused++; c.refused >= maxRefused {
		c.conn.Close(code.ClosePolicy, "too many refused namespaces")
	}
}

// sendConnected answers a CONNECT packet; see sio.Codec.AppendConnect for pid. The
// sid is what a client shows its user: the server never reads it.
func (c *Client) sendConnected(ns *Namespace, pid string) {
	c.conn.Send(ns.AppendConnect(nil, rand.Text(), pid), conn.Reply)
	c.conn.Limit(0)
}

// index returns the index of the namespace's socket, or -1.
func (c *Client) index(namespace string) int {
	return slices.IndexFunc(c.sockets, func(s socket) bool { return s.namespace() == namespace })
}

// pauseReads pauses the connection's reads for one more socket.
func (c *Client) pauseReads() {
	if c.paused++; c.paused == 1 {
		c.conn.PauseReads()
	}
}

// resumeReads resumes reads when no socket has paused them any more.
func (c *Client) resumeReads() {
	if c.paused--; c.paused == 0 {
		c.conn.ResumeReads()
	}
}

// credentials are the members of a CONNECT payload that a session needs. One that is
// not a string counts as missing.
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
