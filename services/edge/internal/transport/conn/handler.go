package conn

import (
	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// Class says what may be dropped when a client reads too slowly.
type Class uint8

const (
	Reply    Class = iota // replies and control: never dropped
	Message               // room messages: never dropped, the connection is closed instead
	Presence              // dropped after typing
	Typing                // dropped first
)

// Handler handles the events of a connection (a session does). Its methods are called on
// the connection's loop, and may call any method of the Conn. A panic in one of them
// closes this connection only (close code 1011).
type Handler interface {
	// Opened is the first call, after the upgrade was accepted. What is sent here
	// leaves in the same write as the answer to the handshake.
	Opened(c *Conn)
	// Message receives a whole message; op is ws.OpText (then payload is valid
	// UTF-8) or ws.OpBinary. payload is valid during the call only. After
	// Close, Abort or PauseReads inside the call no further message follows.
	Message(c *Conn, op ws.OpCode, payload []byte)
	// Heartbeat is called each heartbeat interval, just before the WebSocket ping is
	// queued: what is sent here shares its write.
	Heartbeat(c *Conn)
	// Drained is called once after each NotifyDrained, when nothing waits to be written
	// any more, and never from inside NotifyDrained.
	Drained(c *Conn)
	// Closed is called exactly once for each Opened, as the last call, and never from
	// inside one of the Conn's methods. ID and Loop of c can still be called.
	Closed(c *Conn, cause Cause)
}

// Holder is a Handler that contains its connection's memory, so that the two are one
// object: there are very many of both.
type Holder interface {
	Handler
	// ConnSlot returns the memory for the connection. Factory.Open calls it once.
	ConnSlot() *Conn
}

// Kind is how a connection ended.
type Kind uint8

const (
	Clean Kind = iota // the peer closed with 1000 or 1001
	Lost              // any other end that the server did not start
	Ours              // the server closed
)

// String returns the kind as logs name it.
func (k Kind) String() string {
	switch k {
	case Clean:
		return "clean"
	case Ours:
		return "ours"
	}
	return "lost"
}

const (
	// CodeNone stands for a close frame without a code; it is never sent.
	CodeNone code.Close = 1005
	// CodeAbnormal stands for an end without a close frame; it is never sent.
	CodeAbnormal code.Close = 1006
)

// Cause says why a connection ended.
type Cause struct {
	Kind Kind
	// Code is the code of the close frame that was sent first, CodeNone if the peer's
	// had none, CodeAbnormal if there was no close frame.
	Code code.Close
	Err  error // the transport's, if it failed
}

// EchoHandler sends every message back, for conformance suites.
type EchoHandler struct{}

// Message sends the message back.
func (EchoHandler) Message(c *Conn, op ws.OpCode, payload []byte) {
	c.SendEcho(ws.AppendFrame(nil, op, payload))
}

func (EchoHandler) Opened(*Conn)        {}
func (EchoHandler) Heartbeat(*Conn)     {}
func (EchoHandler) Drained(c *Conn)     { c.ResumeReads() }
func (EchoHandler) Closed(*Conn, Cause) {}

// SendEcho sends frames, and pauses reads while the peer does not read. The handler
// resumes them when it is notified by Drained.
func (c *Conn) SendEcho(frames []byte) {
	c.Send(frames, Reply)
	if c.Queued() > echoAhead {
		c.PauseReads()
		c.NotifyDrained()
	}
}

// echoAhead is how many bytes of echo may wait before reading stops.
const echoAhead = 64 << 10
