package tlsio

import (
	"io"
	"net"
	"sync"
	"time"
)

// errEmpty is returned by Read on the loop when no bytes have arrived.
var errEmpty error = empty{}

// empty is a temporary error, the only kind that crypto/tls does not keep forever.
type empty struct{}

func (empty) Error() string   { return "no bytes have arrived yet" }
func (empty) Timeout() bool   { return true }
func (empty) Temporary() bool { return true }

// wire is the net.Conn below a tls.Conn. It passes through three stages. During the handshake
// the handshake's goroutine uses it: Read waits for bytes from the loop, and Write posts to the
// loop. Then only the loop uses it. After detach it has a connection of its own. Only the bytes
// that the loop adds during the handshake need a lock.
type wire struct {
	net.Conn         // a loopConn until detach, then the connection
	s        *stream // static
	onLoop   bool    // the handshake is done
	detached bool

	mu       sync.Mutex // guards the following during the handshake
	arrived  *sync.Cond
	in       []byte // encrypted bytes that have arrived
	borrowed bool   // in is the loop's buffer
	closed   bool
}

func newWire(s *stream) *wire {
	w := &wire{Conn: loopConn{s}, s: s}
	w.arrived = sync.NewCond(&w.mu)
	return w
}

// addHandshakeBytes passes bytes to the handshake.
func (w *wire) addHandshakeBytes(b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.in = append(w.in, b...)
	w.arrived.Signal()
}

// close ends a waiting Read.
func (w *wire) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.arrived.Signal()
}

func (w *wire) handshakeDone() { w.onLoop = true }

// setInput makes bytes of the loop's buffer readable until keepInput.
func (w *wire) setInput(b []byte) {
	if len(w.in) > 0 {
		w.in = append(w.in, b...)
		return
	}
	w.in, w.borrowed = b, true
}

// keepInput copies what is left of the loop's buffer, if reads were paused.
func (w *wire) keepInput() {
	switch {
	case w.detached:
	case len(w.in) == 0:
		w.in, w.borrowed = nil, false
	case w.borrowed:
		w.in, w.borrowed = append([]byte(nil), w.in...), false
	}
}

// detach continues with nc, after the bytes that have already arrived.
func (w *wire) detach(nc net.Conn) {
	w.keepInput()
	w.Conn, w.detached = nc, true
}

// Read implements net.Conn.
func (w *wire) Read(b []byte) (int, error) {
	if !w.onLoop {
		w.mu.Lock()
		defer w.mu.Unlock()
		for len(w.in) == 0 && !w.closed {
			w.arrived.Wait()
		}
		if w.closed {
			return 0, io.ErrUnexpectedEOF
		}
	}
	if len(w.in) > 0 {
		n := copy(b, w.in)
		w.in = w.in[n:]
		return n, nil
	}
	return w.Conn.Read(b)
}

// Write implements net.Conn.
func (w *wire) Write(b []byte) (int, error) {
	switch {
	case w.detached:
		return w.Conn.Write(b)
	case w.onLoop:
		w.s.send(b)
	default:
		own := append([]byte(nil), b...)
		w.s.t.Loop().Post(func() { w.s.send(own) })
	}
	return len(b), nil
}

// loopConn is the net.Conn of a wire that is not detached. The loop keeps its deadlines and
// closes the transport.
type loopConn struct{ s *stream }

func (loopConn) Read([]byte) (int, error)         { return 0, errEmpty }
func (loopConn) Write([]byte) (int, error)        { return 0, errClosed }
func (loopConn) Close() error                     { return nil }
func (loopConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c loopConn) RemoteAddr() net.Addr           { return net.TCPAddrFromAddrPort(c.s.t.RemoteAddr()) }
func (loopConn) SetDeadline(time.Time) error      { return nil }
func (loopConn) SetReadDeadline(time.Time) error  { return nil }
func (loopConn) SetWriteDeadline(time.Time) error { return nil }
