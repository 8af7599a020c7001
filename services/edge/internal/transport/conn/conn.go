// Package conn is one client connection: a WebSocket on a transport, with
// assembly of messages, a bounded outbound queue, heartbeats and the close
// handshake. It does not know what the messages mean.
package conn

import (
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

// state is a stage of a connection's life.
type state uint8

const (
	open    state = iota
	closing       // the server's close frame is queued or sent; the peer's has not arrived
	replied       // both close frames exist: TCP is closed when the server's is written
	failing       // the peer broke the protocol: TCP lingers when the close frame is written
	ended         // the transport is gone; Closed follows in the next Flush
	done          // Closed was called
)

// readState says whether a connection reads what its peer sends.
type readState uint8

const (
	reading  readState = iota
	paused             // by PauseReads
	resuming           // in the next Flush
)

// Conn is one connection, owned by its loop: every method is called there,
// except ID and Loop. It is kept small: an idle client costs this object and its
// transport, nothing else here (a test keeps it within 200 bytes).
type Conn struct {
	factory   *Factory
	transport poll.Transport
	handler   Handler
	timer     poll.Timer // the earliest of all deadlines

	partial *ws.Partial // while a message is unfinished
	first   []byte      // the head of the queue, without its written part
	more    *backlog    // the rest, nil while there is none
	cold    *cold       // nil while not needed

	number   uint32 // see ID
	queued   int32  // bytes in first and more
	pingAt   uint32 // tick of the next ping, 0 for none
	lastRead uint32 // tick of the last byte
	pings    uint8  // received in that tick

	state          state
	reads          readState
	firstClass     Class
	started        bool // first is partly written
	blocked        bool // the transport is full
	flushScheduled bool // in this turn
	wantsDrained   bool // see NotifyDrained
}

// cold is the state that a connection has only while it is held up or ends.
type cold struct {
	held    []byte // received but not decoded, because reads are paused
	cause   Cause  // set when closing starts
	counted int32  // how many of the queued bytes are in Stats.Queued and the Budget

	// Deadlines in ticks, 0 for none.
	stallAt, closeAt uint32
}

// coldState returns a copy of the cold state, to read.
func (c *Conn) coldState() cold {
	if c.cold == nil {
		return cold{}
	}
	return *c.cold
}

// ensureCold returns the cold state, to change.
func (c *Conn) ensureCold() *cold {
	if c.cold == nil {
		c.cold = &cold{}
	}
	return c.cold
}

// Open makes a connection on t, whose peer's upgrade was accepted. answer is the HTTP
// response, which is written first and must not be changed any more; early are the bytes
// that followed the request. It calls h.Opened.
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
		c.armBy(c.pingAt)
	}
	c.notifyOpened(early)
	return c
}

// SlotFor returns the memory for the connection of h, for a Holder around another.
func SlotFor(h Handler) *Conn {
	if holder, ok := h.(Holder); ok {
		return holder.ConnSlot()
	}
	return new(Conn)
}

func (c *Conn) notifyOpened(early []byte) {
	defer c.recoverPanic()
	c.handler.Opened(c)
	if len(early) > 0 {
		c.factory.stats.BytesIn.Add(uint64(len(early)))
		c.decode(early)
	}
}

// ID returns a number that is unique among the last four billion connections of each
// loop. It may be called concurrently.
func (c *Conn) ID() uint64 { return uint64(c.factory.loop.Index())<<48 | uint64(c.number) }

// Loop returns the loop that owns c. It may be called concurrently.
func (c *Conn) Loop() *poll.Loop { return c.factory.loop }

// Queued returns the number of bytes that wait to be written.
func (c *Conn) Queued() int { return int(c.queued) }

// NotifyDrained requests one call of Handler.Drained.
func (c *Conn) NotifyDrained() {
	c.wantsDrained = true
	c.scheduleFlush()
}

// Deliver passes a message that did not arrive in WebSocket frames, as in long-polling,
// to the handler, which may change payload. It returns false if no further message may
// follow, either permanently or until the transport's ResumeReads.
func (c *Conn) Deliver(op ws.OpCode, payload []byte) (more bool) {
	defer c.recoverPanic()
	c.factory.stats.BytesIn.Add(uint64(len(payload)))
	c.noteActivity()
	return c.Data(op, payload)
}

// Replace moves old's unwritten queue, its paused reads and its pending Drained to c,
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
	if old.wantsDrained {
		c.NotifyDrained()
	}
	if old.reads == paused {
		c.PauseReads()
	}
	old.ensureCold().cause = Cause{Kind: Ours, Code: code.CloseNormal}
	old.transport.Close()
	old.release()
}

// Paused reports whether reads are paused.
func (c *Conn) Paused() bool { return c.reads == paused }

// Closing reports whether the connection is closing or closed.
func (c *Conn) Closing() bool { return c.state != open }

// Flush implements poll.Flusher: it resumes reads and writes the queue, once a turn.
func (c *Conn) Flush() {
	c.flushScheduled = false
	defer c.recoverPanic()
	if c.state == ended {
		c.notifyClosed()
		return
	}
	if c.reads == resuming {
		c.resumeReading()
	}
	c.flushQueue()
}

// notifyClosed calls Handler.Closed, once.
func (c *Conn) notifyClosed() {
	c.state = done
	cause := c.coldState().cause
	c.factory.stats.closed(cause)
	c.handler.Closed(c, cause)
}

// scheduleFlush makes the loop call Flush at the end of this turn.
func (c *Conn) scheduleFlush() {
	if !c.flushScheduled {
		c.flushScheduled = true
		c.factory.loop.Defer(c)
	}
}

// recoverPanic ends this connection after a panic of its handler. It is deferred.
func (c *Conn) recoverPanic() {
	r := recover()
	if r == nil {
		return
	}
	c.factory.stats.Panics.Add(1)
	c.factory.options.Logger.Error("panic in a connection's handler", "event", "conn.panic",
		"conn", c.ID(), "err", r, "stack", string(debug.Stack()))
	c.fail(code.CloseInternal, "")
}
