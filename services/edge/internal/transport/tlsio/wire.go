package tlsio

import (
	"io"
	"net"
	"sync"
	"time"
)

// errEmpty is returned by a settled wire's Read when nothing has arrived.
var errEmpty error = empty{}

// empty is a temporary error, the only kind that crypto/tls does not keep forever.
type empty struct{}

func (empty) Error() string   { return "nothing has come yet" }
func (empty) Timeout() bool   { return true }
func (empty) Temporary() bool { return true }

// wire is the net.Conn below a tls.Conn. It has three lives: with the handshake's
// goroutine, whose Read waits for the loop and whose Write posts to it; settled on
// the loop; and detached, on a connection of its own. Each begins when the one
// before has ended, so only what the loop brings during the handshake needs a lock.
type wire struct {
	s       *stream // static
	settled bool
	nc      net.Conn // when detached

	mu     sync.Mutex // guards the following during the handshake
	came   *sync.Cond
	in     []byte // encrypted bytes that came
	lent   bool   // in is the loop's buffer
	closed bool
}

func newWire(s *stream) *wire {
	w := &wire{s: s}
	w.came = sync.NewCond(&w.mu)
	return w
}

// feed passes bytes to the handshake.
func (w *wire) feed(b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.in = append(w.in, b...)
	w.came.Signal()
}

// close ends a Read that waits.
func (w *wire) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.came.Signal()
}

func (w *wire) settle() { w.settled = true }

// lend shows bytes of the loop's buffer until keep.
func (w *wire) lend(b []byte) {
	if len(w.in) > 0 {
		w.in = append(w.in, b...)
		return
	}
	w.in, w.lent = b, true
}

// keep copies what is left of the loop's buffer: reads were paused.
func (w *wire) keep() {
	switch {
	case w.nc != nil: // others have it
	case len(w.in) == 0:
		w.in, w.lent = nil, false
	case w.lent:
		w.in, w.lent = append([]byte(nil), w.in...), false
	}
}

// detach goes on with nc, behind what has come already.
func (w *wire) detach(nc net.Conn) {
	w.keep()
	w.nc = nc
}

// Read implements net.Conn.
func (w *wire) Read(b []byte) (int, error) {
	if !w.settled {
		w.mu.Lock()
		defer w.mu.Unlock()
		for len(w.in) == 0 && !w.closed {
			w.came.Wait()
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
	case w.settled:
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
