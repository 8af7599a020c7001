// Package conn is one client connection: a WebSocket on a transport, with
// assembly of messages, a bounded outbound queue, heartbeats and the close
// handshake. It knows nothing of what the messages mean.
package conn

import (
	"net/netip"
	"runtime/debug"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// Factory makes the connections of one route on one loop, and holds what they share.
// Owned by the loop.
type Factory struct {
	loop    *poll.Loop
	options Options
	stats   *Stats
	decoder *ws.Decoder
	free    []*backlog // for reuse, at most keptBacklogs
	ping    []byte     // a ping frame

	// Options in ticks.
	heartbeat, stall, unfinished, closing uint32
}

// NewFactory returns a factory for l. Several factories of one loop may share s.
func NewFactory(l *poll.Loop, o Options, s *Stats) *Factory {
	o = o.withDefaults()
	f := &Factory{
		loop: l, options: o, stats: s, decoder: ws.NewDecoder(o.Limits),
		ping:  ws.AppendHeader(nil, ws.OpPing, 0),
		stall: l.Ticks(o.Stall), unfinished: l.Ticks(o.Unfinished), closing: l.Ticks(o.Closing),
	}
	if o.Heartbeat > 0 {
		f.heartbeat = l.Ticks(o.Heartbeat)
	}
	return f
}

// state is where a connection is in its life.
type state uint8

const (
	open    state = iota
	closing       // our close frame is queued or sent; the peer's has not come
	replied       // both close frames exist: TCP ends when ours is written
	failing       // the peer broke the protocol: TCP lingers when our frame is written
	ended         // the transport is gone, Closed is on its way
	done          // Closed was called
)

// reads is whether a connection takes what its peer sends.
type reads uint8

const (
	flowing  reads = iota
	paused         // by PauseReads
	resuming       // in the next Flush
)

// Conn is one connection, owned by its loop: every method is called there,
// except ID and Loop. It is kept small: idle, it and its transport are all
// that a client costs here (a test holds it to 200 bytes).
type Conn struct {
	factory   *Factory
	transport poll.Transport
	handler   Handler
	timer     poll.Timer // the earliest of all deadlines

	partial *ws.Partial // while a message is unfinished
	first   []byte      // the head of the queue; what was written of it is cut off
	more    *backlog    // the rest, nil while there is none
	trouble *trouble    // nil while there is none

	number   uint32 // see ID
	queued   int32  // bytes in first and more
	pingAt   uint32 // tick of the next ping, 0 when there is none
	lastRead uint32 // tick of the last byte
	pings    uint8  // received in that tick

	state      state
	reads      reads
	firstClass Class
	started    bool // first is partly written
	blocked    bool // the transport is full
	dirty      bool // a Flush is due in this turn
	drain      bool // Drained was asked for
}

// trouble is what a connection has while it is held up, and when it ends.
type trouble struct {
	held     []byte // received but not decoded, while reads are paused
	cause    Cause  // set when the end begins
	reported int32  // of the bytes queued, how many Stats.Queued knows

	// Deadlines in ticks, 0 when there is none.
	stallAt, closeAt uint32
}

// troubles are the connection's, to look at.
func (c *Conn) troubles() trouble {
	if c.trouble == nil {
		return trouble{}
	}
	return *c.trouble
}

// inTrouble is the connection's trouble, to note some.
func (c *Conn) inTrouble() *trouble {
	if c.trouble == nil {
		c.trouble = &trouble{}
	}
	return c.trouble
}

// Open makes a connection on t, whose peer's upgrade was accepted. answer is
// the HTTP response, written first and not changed any more; early are bytes
// that came behind the request. It calls h.Opened.
func (f *Factory) Open(t poll.Transport, h Handler, answer, early []byte) *Conn {
	c := SlotFor(h)
	*c = Conn{factory: f, transport: t, handler: h, number: f.loop.NextNumber(), lastRead: f.loop.Tick()}
	c.timer.Owner = c
	f.stats.Opened.Add(1)
	f.stats.Open.Add(1)
	t.SetHandler(c)
	if len(answer) > 0 {
		c.push(answer, Reply)
	}
	if f.heartbeat > 0 {
		// Spread over the second half of the first interval, by number.
		half := f.heartbeat / 2
		c.pingAt = f.loop.Tick() + half + c.number%(f.heartbeat-half) + 1
		c.arm(c.pingAt)
	}
	c.open(early)
	return c
}

// SlotFor returns the memory for the connection of h, for a Holder around another.
func SlotFor(h Handler) *Conn {
	if holder, ok := h.(Holder); ok {
		return holder.ConnSlot()
	}
	return new(Conn)
}

func (c *Conn) open(early []byte) {
	defer c.guard()
	c.handler.Opened(c)
	if len(early) > 0 {
		c.factory.stats.BytesIn.Add(uint64(len(early)))
		c.receive(early)
	}
}

// ID is unique among the last four billion connections of each loop.
func (c *Conn) ID() uint64 { return uint64(c.factory.loop.Index())<<48 | uint64(c.number) }

// Loop is the loop that owns c.
func (c *Conn) Loop() *poll.Loop { return c.factory.loop }

// RemoteAddr is the TCP peer; the zero value when it is gone.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.transport.RemoteAddr() }

// Queued is the number of bytes that wait to be written.
func (c *Conn) Queued() int { return int(c.queued) }

// NotifyDrained asks for one Handler.Drained.
func (c *Conn) NotifyDrained() {
	c.drain = true
	c.mark()
}

// Flush does what this turn of the loop has left to do. The loop calls it.
func (c *Conn) Flush() {
	c.dirty = false
	defer c.guard()
	if c.state == ended {
		c.finish()
		return
	}
	if c.reads == resuming {
		c.resume()
	}
	c.write()
}

// finish tells the handler, once.
func (c *Conn) finish() {
	c.state = done
	cause := c.troubles().cause
	c.factory.stats.closed(cause)
	c.handler.Closed(c, cause)
}

// mark makes the loop call Flush at the end of this turn.
func (c *Conn) mark() {
	if !c.dirty {
		c.dirty = true
		c.factory.loop.Defer(c)
	}
}

// guard turns a handler's panic into the end of this connection.
func (c *Conn) guard() {
	r := recover()
	if r == nil {
		return
	}
	c.factory.stats.Panics.Add(1)
	c.factory.options.Logger.Error("panic in a connection's handler", "event", "conn.panic",
		"conn", c.ID(), "err", r, "stack", string(debug.Stack()))
	c.fail(code.CloseInternal, "")
}

var (
	_ poll.Handler = (*Conn)(nil)
	_ poll.Flusher = (*Conn)(nil)
	_ poll.Expirer = (*Conn)(nil)
)
