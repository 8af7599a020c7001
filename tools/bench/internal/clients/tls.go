//go:build linux

package clients

import (
	"errors"
	"fmt"
	"io"
	"net"
)

// recordBytes holds the content of one TLS record (RFC 8446, section 5.1).
const recordBytes = 16 << 10

// decrypt handles what b, read from the socket, holds of whole records.
func (c *Conn) decrypt(b []byte, at int64) {
	l := c.loop
	if l.plain == nil {
		l.plain = make([]byte, recordBytes)
	}
	for c.wire.in = b; c.state != closed; {
		n, err := c.tls.Read(l.plain)
		if n > 0 {
			c.receive(l.plain[:n], at)
		}
		switch {
		case err == nil:
		case errors.Is(err, errNoData):
			return
		case errors.Is(err, io.EOF):
			l.lose(c, ErrHungUp)
		default:
			l.lose(c, fmt.Errorf("tls: %w", err))
		}
	}
}

// wire is the connection below a tls.Conn. At first it is the net.Conn that the opening
// goroutine reads and writes. Once the loop has set owner, Read returns what the loop has
// read from the socket, and Write goes through the loop.
type wire struct {
	net.Conn
	owner *Conn
	in    []byte // read and not decrypted yet; part of the loop's buffer
}

// errNoData is what Read returns when all that came was read. It is temporary: crypto/tls
// keeps returning any other error.
var errNoData error = noData{}

type noData struct{}

func (noData) Error() string   { return "no data yet" }
func (noData) Timeout() bool   { return true }
func (noData) Temporary() bool { return true }

// Read implements net.Conn.
func (w *wire) Read(b []byte) (int, error) {
	if w.owner == nil {
		return w.Conn.Read(b)
	}
	if len(w.in) == 0 {
		return 0, errNoData
	}
	n := copy(b, w.in)
	w.in = w.in[n:]
	return n, nil
}

// Write implements net.Conn.
func (w *wire) Write(b []byte) (int, error) {
	if w.owner == nil {
		return w.Conn.Write(b)
	}
	if w.owner.write(b); w.owner.state == closed {
		return 0, net.ErrClosed
	}
	return len(b), nil
}
