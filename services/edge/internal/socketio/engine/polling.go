package engine

import (
	"io"
	"net"
	"net/http"
	"net/netip"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/engineio"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// polling is the transport of a session over long-polling. A waiting GET carries what
// is written. While no GET waits the transport is full: frames stay in the connection's
// queue, within its bounds. Owned by its loop.
type polling struct {
	// Static.
	socket  *Socket
	sid     string
	peer    netip.AddrPort // of the first request
	release func()         // see Options.Admit

	handler    poll.Handler
	get        exchange // waits for something to send
	out        []byte   // payload that answers get at the end of the turn
	post       exchange // waits until its packets are consumed
	unread     []byte   // packets of post that are not consumed yet
	full       bool     // Write took nothing: call Writable when a GET comes
	closing    bool     // out ends with a close packet
	paused     bool
	closed     bool
	deferred   bool // Flush is due in this turn
	delivering bool // deliverPackets is running
	probed     bool // a WebSocket is being probed: a GET does not wait
}

// deliverPackets passes the packets of the POST to the connection until reads are
// paused.
func (t *polling) deliverPackets() {
	if t.delivering {
		return
	}
	t.delivering = true
	for t.post != nil && !t.closed && !t.paused {
		packet, rest, last := engineio.Next(t.unread)
		t.unread = rest
		t.deliver(packet)
		if last {
			t.answerPost()
		}
	}
	t.delivering = false
	if t.closed && t.post != nil {
		t.answerPost()
	}
}

// answerPost answers the POST when its packets are consumed, or the transport is closed.
func (t *polling) answerPost() {
	x := t.post
	t.post, t.unread = nil, nil
	x.answer(http.StatusOK, []byte("ok"))
}

// deliver passes one packet of a checked payload to the connection.
func (t *polling) deliver(packet []byte) {
	c := t.socket.Conn
	if limit := t.socket.local.server.Conn.Limits.Message; limit > 0 && len(packet) > limit {
		c.Close(code.CloseTooBig, "")
		return
	}
	p, err := engineio.ParseInPayload(packet)
	switch {
	case err != nil: // excluded by CheckPayload
	case p.Binary:
		c.Deliver(ws.OpBinary, p.Data)
	default:
		c.Deliver(ws.OpText, packet)
	}
}

// Write implements poll.Transport. b holds complete WebSocket frames, which Write turns
// back into packets: so the hub encodes an event once for each codec, and members over
// WebSockets and over long-polling share the bytes.
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
	t.deferFlush()
	return len(b), nil
}

// deferFlush makes the loop call Flush at the end of this turn.
func (t *polling) deferFlush() {
	if !t.deferred {
		t.deferred = true
		t.socket.local.loop.Defer(t)
	}
}

// Flush implements poll.Flusher: it answers the GET if there is something to send.
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
	t.answerGet()
	if t.closing {
		t.fail(io.EOF) // as if the peer had answered the close frame
	}
}

func (t *polling) answerGet() {
	x, body := t.get, t.out
	t.get, t.out = nil, nil
	x.answer(http.StatusOK, body)
}

// fail closes the transport and notifies its handler.
func (t *polling) fail(reason error) {
	if t.closed {
		return
	}
	t.Close()
	t.handler.Closed(reason)
}

// Close implements poll.Transport. It answers the requests that wait.
func (t *polling) Close() {
	if t.closed {
		return
	}
	t.closed = true
	if t.get != nil {
		if len(t.out) == 0 {
			t.out = append(t.out, byte(t.finalPacket()))
		}
		t.answerGet()
	}
	if t.post != nil && !t.delivering {
		t.answerPost()
	}
}

// finalPacket answers a GET when there is nothing else to send: a close packet when
// this edge ends the session, a noop packet when the client does or after an upgrade.
func (t *polling) finalPacket() engineio.Type {
	if t.socket.left || t.socket.polling != t || t.probed {
		return engineio.Noop
	}
	return engineio.Close
}

// ResumeReads implements poll.Transport.
func (t *polling) ResumeReads() {
	t.paused = false
	t.deliverPackets()
}

func (t *polling) Abort()                     { t.Close() }
func (t *polling) CloseWrite()                {} // long-polling has no half-closed state
func (t *polling) PauseReads()                { t.paused = true }
func (t *polling) SetHandler(h poll.Handler)  { t.handler = h }
func (t *polling) Detach() (net.Conn, error)  { return nil, poll.ErrDetach }
func (t *polling) Loop() *poll.Loop           { return t.socket.local.loop }
func (t *polling) RemoteAddr() netip.AddrPort { return t.peer }
