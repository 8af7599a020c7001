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
	s      *stream  // static
	onLoop bool     // the handshake is done
	nc     net.Conn // when detached

	mu       sync.Mutex // guards the following during the handshake
	arrived  *sync.Cond
	in       []byte // encrypted bytes that have arrived
	borrowed bool   // in is the loop's buffer
	closed   bool
}

func newWire(s *stream) *wire {
	w := &wire{s: s}
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
	case w.nc != nil: // detached
	case len(w.in) == 0:
		w.in, w.borrowed = nil, false
	case w.borrowed:
		w.in, w.borrowed = append([]byte(nil), w.in...), false
	}
}

// detach continues with nc, after the bytes that have already arrived.
func (w *wire) detach(nc net.Conn) {
	w.keepInput()
	w.nc = nc
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
	if w.nc != nil {
		return w.nc.Read(b)
	}
	return 0, errEmpty
}

// Write implements net.Conn.
func (w *wire) Write(b []byte) (int, error) {
	switch {
	case w.nc != nil:
		return w.nc.Write(b)
	case w.onLoop:
		w.s.send(b)
	default:
		own := append([]byte(nil), b...)
		w.s.t.Loop().Post(func() { w.s.send(own) })
	}
	return len(b), nil
}

// Close implements net.Conn; only a detached one is closed this way.
func (w *wire) Close() error {
	if w.nc == nil {
		return nil
	}
	return w.nc.Close()
}

// LocalAddr implements net.Conn.
func (w *wire) LocalAddr() net.Addr {
	if w.nc == nil {
		return &net.TCPAddr{}
	}
	return w.nc.LocalAddr()
}

// RemoteAddr implements net.Conn.
func (w *wire) RemoteAddr() net.Addr {
	if w.nc == nil {
		return net.TCPAddrFromAddrPort(w.s.t.RemoteAddr())
	}
	return w.nc.RemoteAddr()
}

// SetDeadline implements net.Conn.
func (w *wire) SetDeadline(t time.Time) error {
	if w.nc == nil {
		return nil
	}
	return w.nc.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (w *wire) SetReadDeadline(t time.Time) error {
	if w.nc == nil {
		return nil
	}
	return w.nc.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (w *wire) SetWriteDeadline(t time.Time) error {
	if w.nc == nil {
		return nil
	}
	return w.nc.SetWriteDeadline(t)
}

var _ net.Conn = (*wire)(nil)
