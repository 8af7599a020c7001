// Package conntest lets a test play the client of a connection without a socket. Its transport
// keeps in memory what the server writes, and passes the server what the test sends; other
// functions make a client's frames and parse the server's.
package conntest

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	gobwas "github.com/gobwas/ws"

	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// Transport implements poll.Transport for a manual loop. It accepts Room bytes and is then
// full; with a negative Room (the default) it is never full.
type Transport struct {
	Out        []byte // what was written
	Room       int
	WriteErr   error // returned by Write when set
	Writes     int
	WriteEnded bool // CloseWrite
	Closed     bool
	Aborted    bool
	Paused     bool

	loop    *poll.Loop
	handler poll.Handler
}

// New returns a transport on l.
func New(l *poll.Loop) *Transport { return &Transport{Room: -1, loop: l} }

// Receive passes bytes from the client to the handler. The handler may change them.
func (t *Transport) Receive(tb testing.TB, b []byte) {
	tb.Helper()
	switch {
	case t.Paused:
		tb.Fatal("bytes received while reads are paused")
	case t.Closed:
		tb.Fatal("bytes received on a closed transport")
	}
	t.handler.Readable(b)
}

// Drain makes room for n more bytes (-1: any number), and calls the handler's Writable.
func (t *Transport) Drain(n int) {
	t.Room = n
	t.handler.Writable()
}

// Lose ends the connection as a network does, with err.
func (t *Transport) Lose(err error) {
	t.Closed = true
	t.handler.Closed(err)
}

// Take returns what was written since the last call.
func (t *Transport) Take() []byte {
	b := t.Out
	t.Out = nil
	return b
}

// Frame is one frame that the client has received.
type Frame struct {
	Op      ws.OpCode
	Payload string
}

// TakeFrames parses what was written since the last call.
func (t *Transport) TakeFrames(tb testing.TB) []Frame {
	tb.Helper()
	return ParseFrames(tb, t.Take())
}

// ParseFrames parses a server's frames.
func ParseFrames(tb testing.TB, b []byte) []Frame {
	tb.Helper()
	var frames []Frame
	for len(b) > 0 {
		if len(b) < 2 || b[1]&0x80 != 0 {
			tb.Fatalf("not a server frame: % x", b)
		}
		n, head := int(b[1]), 2
		switch n {
		case 126:
			n, head = int(binary.BigEndian.Uint16(b[2:])), 4
		case 127:
			n, head = int(binary.BigEndian.Uint64(b[2:])), 10
		}
		if len(b) < head+n {
			tb.Fatalf("frame is cut: % x", b)
		}
		frames = append(frames, Frame{ws.OpCode(b[0] & 0x0f), string(b[head : head+n])})
		b = b[head+n:]
	}
	return frames
}

// ClientFrame returns a client's frame, masked.
func ClientFrame(fin bool, op ws.OpCode, payload string) []byte {
	f := gobwas.NewFrame(gobwas.OpCode(op), fin, []byte(payload))
	b, err := gobwas.CompileFrame(gobwas.MaskFrameInPlaceWith(f, [4]byte{0x37, 0xfa, 0x21, 0x3d}))
	if err != nil {
		panic(err) // writing to memory does not fail
	}
	return b
}

// Text returns a client's text frame.
func Text(s string) []byte { return ClientFrame(true, ws.OpText, s) }

// Close returns a client's close frame.
func Close(status ws.StatusCode, reason string) []byte {
	return ClientFrame(true, ws.OpClose, string(gobwas.NewCloseFrameBody(gobwas.StatusCode(status), reason)))
}

func (t *Transport) Write(b []byte) (int, error) {
	if t.WriteErr != nil {
		return 0, t.WriteErr
	}
	t.Writes++
	n := len(b)
	if t.Room >= 0 {
		n = min(n, t.Room)
		t.Room -= n
	}
	t.Out = append(t.Out, b[:n]...)
	return n, nil
}

func (t *Transport) CloseWrite()                { t.WriteEnded = true }
func (t *Transport) Close()                     { t.Closed = true }
func (t *Transport) Abort()                     { t.Closed, t.Aborted = true, true }
func (t *Transport) PauseReads()                { t.Paused = true }
func (t *Transport) ResumeReads()               { t.Paused = false }
func (t *Transport) SetHandler(h poll.Handler)  { t.handler = h }
func (t *Transport) Detach() (net.Conn, error)  { return nil, poll.ErrDetach }
func (t *Transport) Loop() *poll.Loop           { return t.loop }
func (t *Transport) RemoteAddr() netip.AddrPort { return netip.MustParseAddrPort("192.0.2.1:4711") }

var _ poll.Transport = (*Transport)(nil)
