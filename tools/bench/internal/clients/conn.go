//go:build linux

package clients

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/confab-chat/confab/tools/bench/internal/dialect"
	"github.com/confab-chat/confab/tools/bench/internal/stamp"
)

const (
	// maxFrame bounds what one frame may make a connection keep, in bytes.
	maxFrame = 16 << 20
	// maxReason bounds what an error quotes of a server's refusal, in bytes.
	maxReason = 200
)

type state uint8

const (
	opening  state = iota // in the hands of Dial's goroutine
	greeting              // upgraded, the session is not open yet
	open
	closed
)

// Conn is one client. Its exported fields belong to the user of the loop.
type Conn struct {
	Number int32 // counts from 0 in the order of Dial; read-only
	Room   int32 // -1 at first
	Got    uint32
	Last   uint32
	Since  int64 // a stamp.Now
	Joined bool

	loop    *Loop
	fd      int // -1 while opening
	state   state
	blocked bool // unsent waits for the socket
	deaf    bool // see StopReading
	partial []byte
	unsent  []byte
	tls     *tls.Conn
	wire    *wire // below tls
}

// Send sends one text frame. What the socket does not accept waits in memory.
func (c *Conn) Send(payload []byte) { c.sendFrame(ws.OpText, payload) }

// StopReading makes c a client that never reads again.
func (c *Conn) StopReading() {
	c.deaf = true
	c.updateEvents()
}

// Abort closes c without a close frame, as a lost network does. Closed is not called.
func (c *Conn) Abort() {
	if c.state != closed {
		c.loop.release(c)
	}
}

// sendFrame masks and sends one whole frame.
func (c *Conn) sendFrame(op ws.OpCode, payload []byte) {
	frame := &c.loop.frame
	frame.Reset()
	h := ws.Header{Fin: true, OpCode: op, Masked: true, Mask: ws.NewMask(), Length: int64(len(payload))}
	_ = ws.WriteHeader(frame, h) // a Buffer returns no error, and the length is not negative
	head := frame.Len()
	frame.Write(payload)
	ws.Cipher(frame.Bytes()[head:], h.Mask, 0)
	if c.state != closed && c.tls != nil {
		_, _ = c.tls.Write(frame.Bytes()) // an error has ended c already
		return
	}
	c.write(frame.Bytes())
}

// write gives b to the socket, and keeps what the socket does not accept.
func (c *Conn) write(b []byte) {
	if c.state == closed {
		return
	}
	if len(c.unsent) > 0 {
		c.unsent = append(c.unsent, b...)
		return
	}
	n, err := unix.Write(c.fd, b)
	if err != nil && err != unix.EAGAIN && err != unix.EINTR {
		c.loop.lose(c, os.NewSyscallError("write", err))
		return
	}
	if n = max(n, 0); n < len(b) {
		c.unsent = append(c.unsent, b[n:]...)
		c.blocked = true
		c.updateEvents()
	}
}

// flush writes what waits for the socket.
func (c *Conn) flush() {
	waiting := c.unsent
	c.unsent, c.blocked = nil, false
	if c.write(waiting); c.state != closed && !c.blocked {
		c.updateEvents()
	}
}

// updateEvents sets what epoll reports of c.
func (c *Conn) updateEvents() {
	events := uint32(unix.EPOLLIN)
	if c.deaf {
		events = unix.EPOLLRDHUP
	}
	if c.blocked {
		events |= unix.EPOLLOUT
	}
	if err := c.loop.control(unix.EPOLL_CTL_MOD, c.fd, events); err != nil {
		c.loop.lose(c, err)
	}
}

// read reads once from the socket and handles what came.
func (c *Conn) read() {
	l := c.loop
	if c.deaf { // epoll reports only the end of the connection
		l.lose(c, ErrHungUp)
		return
	}
	n, err := unix.Read(c.fd, l.buf)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return
	case err != nil:
		l.lose(c, os.NewSyscallError("read", err))
		return
	case n == 0:
		l.lose(c, ErrHungUp)
		return
	}
	l.Stats.Reads++
	if at := stamp.Now(); c.tls != nil {
		c.decrypt(l.buf[:n], at)
	} else {
		c.receive(l.buf[:n], at)
	}
}

// receive handles every whole frame of what the server sent, and keeps the rest.
func (c *Conn) receive(b []byte, at int64) {
	if len(c.partial) > 0 {
		c.partial = append(c.partial, b...)
		b = c.partial
	}
	for c.state != closed {
		op, payload, rest, err := c.loop.nextFrame(b)
		if err != nil {
			c.loop.lose(c, err)
			break
		}
		if rest == nil {
			break
		}
		b = rest
		c.loop.Stats.Frames++
		c.handleFrame(op, payload, at)
	}
	if c.state == closed || len(b) == 0 {
		c.partial = nil
		return
	}
	c.partial = append(c.partial[:0], b...) // b may be the end of c.partial
}

// nextFrame returns the first frame of b and what follows it, as parts of b. rest is nil
// when b holds no whole frame.
func (l *Loop) nextFrame(b []byte) (op ws.OpCode, payload, rest []byte, err error) {
	l.reader.Reset(b)
	h, err := ws.ReadHeaderBuffer(&l.reader, l.header)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, nil, nil, nil
	}
	switch body := b[len(b)-l.reader.Len():]; {
	case err != nil:
		return 0, nil, nil, err
	case !h.Fin || h.OpCode == ws.OpContinuation:
		return 0, nil, nil, errors.New("a fragmented message, which no server sends that is measured here")
	case h.Masked:
		return 0, nil, nil, errors.New("a masked frame, which no server may send (RFC 6455, section 5.1)")
	case h.Length > maxFrame:
		return 0, nil, nil, fmt.Errorf("a frame of %d bytes, more than %d", h.Length, maxFrame)
	case h.Length > int64(len(body)):
		return 0, nil, nil, nil
	default:
		return h.OpCode, body[:h.Length], body[h.Length:], nil
	}
}

func (c *Conn) handleFrame(op ws.OpCode, payload []byte, at int64) {
	switch op {
	case ws.OpText:
		for len(payload) > 0 && c.state != closed {
			var m dialect.Message
			m, payload = c.loop.options.Dialect.Next(payload)
			c.handleMessage(m, at)
		}
	case ws.OpPing:
		c.sendFrame(ws.OpPong, payload)
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameData(payload)
		c.loop.lose(c, fmt.Errorf("%w: close %d %s", ErrHungUp, code, reason))
	}
}

func (c *Conn) handleMessage(m dialect.Message, at int64) {
	l := c.loop
	switch m.Kind {
	case dialect.Hello:
		c.Send([]byte(l.traits.Hello))
		return
	case dialect.Ping:
		c.Send([]byte(l.traits.Pong))
		return
	case dialect.Opened:
		c.markOpen()
		return
	case dialect.Refused:
		if c.state == greeting {
			l.lose(c, fmt.Errorf("the session was refused: %s", m.Body[:min(len(m.Body), maxReason)]))
			return
		}
	}
	if l.options.Message != nil {
		l.options.Message(c, m, at)
	}
}

// markOpen records that the session is open.
func (c *Conn) markOpen() {
	if c.state != greeting {
		return
	}
	c.state = open
	c.loop.Stats.Pending--
	c.loop.Stats.Open++
	if c.loop.options.Opened != nil {
		c.loop.options.Opened(c)
	}
}
