package crowd

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// TLS on the crowd's sockets. A handshake has a goroutine, which waits for its socket
// by poll(2); from then on crypto/tls is driven by what Poll reads, over a wire whose
// Read reports a temporary error when nothing has come.

const (
	// handshakePatience bounds each wait of a handshake for the server.
	handshakePatience = 30 * time.Second
	// recordBytes takes one record (RFC 8446 section 5.1).
	recordBytes = 16 << 10
	// wakeSlot marks the eventfd in the epoll set: no connection has it.
	wakeSlot = -1
)

// handshake is the outcome of one.
type handshake struct {
	c   *Conn
	err error
}

// shakers are the handshakes under way. The goroutines write done and wake, the rest
// is the crowd's owner's.
type shakers struct {
	running int
	done    chan handshake
	wake    int // eventfd: done has something
}

// allow readies the crowd for TLS.
func (s *shakers) allow(epoll int) (err error) {
	if s.wake, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	s.done = make(chan handshake, 64)
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: wakeSlot}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, s.wake, &e))
}

// secure begins the handshake of a connected socket, which is the goroutine's until its
// outcome has come.
func (w *Crowd) secure(c *Conn) {
	if err := w.control(unix.EPOLL_CTL_DEL, c, 0); err != nil {
		w.lose(c, err)
		return
	}
	config := w.options.TLS
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName = c.target.Addr().String()
	}
	c.state, c.wire = securing, &wire{fd: int(c.fd)}
	c.tls = tls.Client(c.wire, config)
	w.shakers.running++
	conn, s := c.tls, &w.shakers
	go func() {
		s.done <- handshake{c, conn.Handshake()}
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		_, _ = unix.Write(s.wake, one[:]) // full means that it will wake anyhow
	}()
}

// secured takes the outcomes of handshakes.
func (w *Crowd) secured() {
	var count [8]byte
	_, _ = unix.Read(w.shakers.wake, count[:]) // nothing there: somebody has taken the outcome already
	for {
		select {
		case h := <-w.shakers.done:
			w.shook(h)
		default:
			return
		}
	}
}

func (w *Crowd) shook(h handshake) {
	w.shakers.running--
	c := h.c
	if c.state == gone { // it was given up meanwhile
		w.release(c)
		return
	}
	c.state = upgrading
	if h.err != nil {
		w.lose(c, fmt.Errorf("tls: %w", h.err))
		return
	}
	c.wire.c = c
	if err := w.control(unix.EPOLL_CTL_ADD, c, unix.EPOLLIN); err != nil {
		w.lose(c, err)
		return
	}
	c.upgrade()
}

// drained waits for the handshakes of connections that are gone.
func (w *Crowd) drained() {
	for w.shakers.running > 0 {
		w.shook(<-w.shakers.done)
	}
}

// decrypt hands what b holds to plain, record by record, and what it cannot read is
// the end of c.
func (c *Conn) decrypt(b []byte, at int64) {
	w := c.crowd
	if w.plain == nil {
		w.plain = make([]byte, recordBytes)
	}
	for c.wire.in = b; c.state != gone; {
		n, err := c.tls.Read(w.plain)
		if n > 0 {
			c.plain(w.plain[:n], at)
		}
		switch {
		case err == nil:
		case errors.Is(err, errEmpty):
			return
		case errors.Is(err, io.EOF):
			w.lose(c, ErrHungUp)
		default:
			w.lose(c, fmt.Errorf("tls: %w", err))
		}
	}
}

// wire is the net.Conn below a tls.Conn: at first of the handshake's goroutine, then,
// when c is set, of the crowd's owner.
type wire struct {
	fd int // static
	c  *Conn
	in []byte // what was read and not decrypted; the crowd's buffer
}

// errEmpty is what Read returns when nothing has come. It is temporary: crypto/tls
// remembers all other errors, for ever.
var errEmpty error = empty{}

type empty struct{}

func (empty) Error() string   { return "nothing has come yet" }
func (empty) Timeout() bool   { return true }
func (empty) Temporary() bool { return true }

// Read implements net.Conn.
func (w *wire) Read(b []byte) (int, error) {
	if w.c != nil {
		if len(w.in) == 0 {
			return 0, errEmpty
		}
		n := copy(b, w.in)
		w.in = w.in[n:]
		return n, nil
	}
	for {
		n, err := unix.Read(w.fd, b)
		switch {
		case err == nil && n == 0 && len(b) > 0:
			return 0, io.EOF
		case err == nil:
			return n, nil
		case err != unix.EAGAIN && err != unix.EINTR:
			return 0, os.NewSyscallError("read", err)
		}
		if err := w.wait(unix.POLLIN); err != nil {
			return 0, err
		}
	}
}

// Write implements net.Conn.
func (w *wire) Write(b []byte) (int, error) {
	if w.c != nil {
		if w.c.send(b); w.c.state == gone {
			return 0, net.ErrClosed
		}
		return len(b), nil
	}
	for sent := 0; ; {
		n, err := unix.Write(w.fd, b[sent:])
		if sent += max(n, 0); sent == len(b) {
			return sent, nil
		}
		if err != nil && err != unix.EAGAIN && err != unix.EINTR {
			return sent, os.NewSyscallError("write", err)
		}
		if err := w.wait(unix.POLLOUT); err != nil {
			return sent, err
		}
	}
}

// wait returns when the socket is ready, or has ended.
func (w *wire) wait(events int16) error {
	for end := time.Now().Add(handshakePatience); ; {
		left := time.Until(end)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(w.fd), Events: events}}, int(left/time.Millisecond)+1)
		if err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
		if n > 0 {
			return nil
		}
	}
}

// Close implements net.Conn: the descriptor is the crowd's.
func (*wire) Close() error { return nil }

// LocalAddr implements net.Conn.
func (*wire) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr implements net.Conn.
func (*wire) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// SetDeadline implements net.Conn; as the next two, it is never asked for.
func (*wire) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (*wire) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (*wire) SetWriteDeadline(time.Time) error { return nil }
