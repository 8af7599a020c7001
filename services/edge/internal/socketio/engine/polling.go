package engine

import (
	"io"
	"net"
	"net/http"
	"net/netip"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/codec/engineio"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// polling is the transport of a session over long-polling. What is written leaves
// with the GET that waits; while none does the transport is full, and what waits,
// waits in the connection's queue, with its bounds. Owned by its loop.
type polling struct {
	socket  *Socket // static
	sid     string
	peer    netip.AddrPort
	leave   func()
	handler poll.Handler

	get      exchange // waits for something to say
	out      []byte   // said to it at the end of the turn
	post     exchange // waits for its packets to be taken
	rest     []byte   // of them
	full     bool     // Write took nothing: tell when there is a GET
	closing  bool     // out ends with a close packet
	paused   bool
	closed   bool
	deferred bool
	taking   bool
	probed   bool // a WebSocket is being tried: GETs do not wait
}

// take gives the packets of the POST to the connection as far as it wants them.
func (t *polling) take() {
	if t.taking {
		return
	}
	t.taking = true
	for t.post != nil && !t.closed && !t.paused {
		packet, rest, last := engineio.Next(t.rest)
		t.rest = rest
		if last {
			t.rest = nil
		}
		t.deliver(packet)
		if last {
			t.posted()
		}
	}
	t.taking = false
	if t.closed && t.post != nil {
		t.posted()
	}
}

// posted answers the POST: everything in it has been taken, or nobody is there any more.
func (t *polling) posted() {
	x := t.post
	t.post, t.rest = nil, nil
	x.answer(http.StatusOK, []byte("ok"))
}

func (t *polling) deliver(packet []byte) {
	c := t.socket.conn
	if limit := t.socket.local.server.Conn.Limits.Message; limit > 0 && len(packet) > limit {
		c.Close(code.CloseTooBig, "")
		return
	}
	p, err := engineio.ParseInPayload(packet)
	switch {
	case err != nil: // checked before
	case p.Binary:
		c.Deliver(ws.OpBinary, p.Data)
	default:
		c.Deliver(ws.OpText, packet)
	}
}

// Write implements poll.Transport. b is whole frames.
func (t *polling) Write(b []byte) (int, error) {
	if t.closed {
		return 0, net.ErrClosed
	}
	if t.get == nil {
		t.full = true
		return 0, nil
	}
	for rest := b; len(rest) > 0; {
		var op ws.OpCode
		var payload []byte
		op, payload, rest = ws.Split(rest)
		switch op {
		case ws.OpText:
			t.out = engineio.AppendText(t.out, payload)
		case ws.OpBinary:
			t.out = engineio.AppendBinary(t.out, payload)
		case ws.OpClose:
			t.out = engineio.AppendText(t.out, []byte{byte(engineio.Close)})
			t.closing = true
		}
	}
	t.mark()
	return len(b), nil
}

// mark makes the loop call Flush at the end of this turn.
func (t *polling) mark() {
	if !t.deferred {
		t.deferred = true
		t.socket.local.loop.Defer(t)
	}
}

// Flush implements poll.Flusher: it answers the GET if there is something to say.
func (t *polling) Flush() {
	t.deferred = false
	if t.get == nil {
		return
	}
	if len(t.out) == 0 && t.probed {
		t.out = append(t.out, byte(engineio.Noop))
	}
	if len(t.out) == 0 {
		return
	}
	t.respond()
	if t.closing {
		t.fail(io.EOF) // which is how a peer answers
	}
}

func (t *polling) respond() {
	x := t.get
	body := t.out
	t.get, t.out = nil, nil
	x.answer(http.StatusOK, body)
}

// fail ends the transport from outside.
func (t *polling) fail(reason error) {
	if t.closed {
		return
	}
	h := t.handler
	t.Close()
	h.Closed(reason)
}

// Close implements poll.Transport.
func (t *polling) Close() {
	if t.closed {
		return
	}
	t.closed = true
	if t.get != nil {
		if len(t.out) == 0 {
			t.out = append(t.out, byte(t.lastWord()))
		}
		t.respond()
	}
	if t.post != nil && !t.taking {
		t.posted()
	}
}

// lastWord is what ends a poll that has nothing to say: noop unless the session ends
// by our will.
func (t *polling) lastWord() engineio.Type {
	if t.socket.gone || t.socket.polling != t || t.probed {
		return engineio.Noop
	}
	return engineio.Close
}

// Abort implements poll.Transport.
func (t *polling) Abort() { t.Close() }

// CloseWrite implements poll.Transport; there is no half of it.
func (t *polling) CloseWrite() {}

// PauseReads implements poll.Transport.
func (t *polling) PauseReads() { t.paused = true }

// ResumeReads implements poll.Transport.
func (t *polling) ResumeReads() {
	t.paused = false
	t.take()
}

// SetHandler implements poll.Transport.
func (t *polling) SetHandler(h poll.Handler) { t.handler = h }

// Detach implements poll.Transport.
func (t *polling) Detach() (net.Conn, error) { return nil, poll.ErrDetach }

// Loop implements poll.Transport.
func (t *polling) Loop() *poll.Loop { return t.socket.local.loop }

// RemoteAddr implements poll.Transport: the peer of the first request.
func (t *polling) RemoteAddr() netip.AddrPort { return t.peer }

var (
	_ poll.Transport = (*polling)(nil)
	_ poll.Flusher   = (*polling)(nil)
)
