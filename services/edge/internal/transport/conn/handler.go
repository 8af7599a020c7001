package conn

import (
	"log/slog"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// Class says what a queued payload is worth when a client reads too slowly.
type Class uint8

const (
	Reply    Class = iota // answers and control: never dropped
	Message               // room messages: never dropped, the connection goes instead
	Presence              // dropped after typing
	Typing                // dropped first
)

// Handler is the owner of a connection's meaning (a session). All calls come
// on the connection's loop. Calling any method of the Conn from inside them is
// allowed. A panic in one of them costs this connection only (close 1011).
type Handler interface {
	// Opened is the first call: the upgrade was accepted. What is sent here
	// leaves in the same write as the answer to the handshake.
	Opened(c *Conn)
	// Message brings a whole message; op is ws.OpText (then payload is valid
	// UTF-8) or ws.OpBinary. payload is valid during the call only. After
	// Close, Abort or PauseReads inside the call no further message follows.
	Message(c *Conn, op ws.OpCode, payload []byte)
	// Heartbeat comes each heartbeat interval, just before the WebSocket ping
	// is queued: what is sent here shares its write.
	Heartbeat(c *Conn)
	// Drained comes once after each NotifyDrained, when nothing waits to be
	// written any more; from the loop, never from inside NotifyDrained.
	Drained(c *Conn)
	// Closed comes exactly once for each Opened, last, and never from inside
	// a call of one of the Conn's methods. c can still be read (ID, Loop).
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
	Lost              // anything else that we did not start
	Ours              // closed by us
)

// String is the kind as a metric label.
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
	// Code is the code that was sent by whoever started, CodeNone when the
	// peer gave none, CodeAbnormal when there was no close frame at all.
	Code code.Close
	Err  error // the transport's, when it failed
}

// Options of the connections of one door. Zero means the default that stands
// beside the field.
type Options struct {
	Limits     ws.Limits     // ws.DefaultLimits
	QueueBytes int           // 256 KiB may wait for a client
	Budget     *Budget       // of all clients; nil: unlimited
	Heartbeat  time.Duration // 30 s; negative: no heartbeats
	Stall      time.Duration // 10 s without a byte drained while some wait: slow
	Unfinished time.Duration // 15 s from a message's first byte to its last
	Closing    time.Duration // 2 s for the peer's side of the close handshake
	PingRate   int           // 10 pings a second from the peer; negative: unlimited
	Logger     *slog.Logger  // discards
}

// ConformanceOptions are for a door at which a conformance suite knocks: large
// messages, no rate, and room for the echo of one message.
func ConformanceOptions() Options {
	l := ws.ConformanceLimits()
	return Options{Limits: l, QueueBytes: 2 * l.Message, PingRate: -1}
}

func (o Options) withDefaults() Options {
	if o.Limits == (ws.Limits{}) {
		o.Limits = ws.DefaultLimits()
	}
	if o.QueueBytes == 0 {
		o.QueueBytes = 256 << 10
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 30 * time.Second
	}
	if o.Stall == 0 {
		o.Stall = 10 * time.Second
	}
	if o.Unfinished == 0 {
		o.Unfinished = 15 * time.Second
	}
	if o.Closing == 0 {
		o.Closing = 2 * time.Second
	}
	if o.PingRate == 0 {
		o.PingRate = 10
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
