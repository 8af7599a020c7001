package crowd

import (
	"bytes"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/confab-chat/confab/tools/chatload/internal/dialect"
	"github.com/confab-chat/confab/tools/chatload/internal/stamp"
	"github.com/confab-chat/confab/tools/chatload/internal/wsframe"
)

// maxHead bounds the answer to an upgrade, in bytes.
const maxHead = 16 << 10

// interest tells epoll what c waits for.
func (c *Conn) interest() {
	events := uint32(unix.EPOLLIN)
	if c.deaf {
		events = unix.EPOLLRDHUP
	}
	if c.blocked {
		events |= unix.EPOLLOUT
	}
	if err := c.crowd.control(unix.EPOLL_CTL_MOD, c, events); err != nil {
		c.crowd.lose(c, err)
	}
}

// write sends b, encrypted where the server wants that.
func (c *Conn) write(b []byte) {
	if c.state != gone && c.tls != nil {
		_, _ = c.tls.Write(b) // an error has ended c already
		return
	}
	c.send(b)
}

// send gives b to the socket, or keeps what that does not take.
func (c *Conn) send(b []byte) {
	if c.state == gone {
		return
	}
	if len(c.out) > 0 {
		c.out = append(c.out, b...)
		return
	}
	n, err := unix.Write(int(c.fd), b)
	if err != nil && err != unix.EAGAIN && err != unix.EINTR {
		c.crowd.lose(c, os.NewSyscallError("write", err))
		return
	}
	if n = max(n, 0); n < len(b) {
		c.out = append(c.out, b[n:]...)
		c.blocked = true
		c.interest()
	}
}

func (c *Conn) writable() {
	if c.state == connecting {
		c.connected()
		return
	}
	waiting := c.out
	c.out, c.blocked = nil, false
	if c.send(waiting); c.state != gone && !c.blocked {
		c.interest()
	}
}

// connected goes on when TCP is connected.
func (c *Conn) connected() {
	if errno, err := unix.GetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_ERROR); err != nil || errno != 0 {
		c.crowd.lose(c, os.NewSyscallError("connect", unix.Errno(errno)))
		return
	}
	if c.crowd.options.TLS != nil {
		c.crowd.secure(c)
		return
	}
	c.upgrade()
}

// upgrade asks for a WebSocket.
func (c *Conn) upgrade() {
	c.state = upgrading
	traits := &c.crowd.traits
	// The key need not be random where no cache is between us and the server.
	head := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: Y2hhdGxvYWQgaXMgaGVyZQ==\r\n", traits.Path, c.target)
	if traits.Subprotocol != "" {
		head = fmt.Appendf(head, "Sec-WebSocket-Protocol: %s\r\n", traits.Subprotocol)
	}
	if token := c.crowd.options.Token; token != nil && traits.Token {
		head = fmt.Appendf(head, "Authorization: Bearer %s\r\n", token(int(c.Number)))
	}
	c.write(append(head, "\r\n"...))
	if c.state != gone {
		c.interest()
	}
}

func (c *Conn) readable() {
	w := c.crowd
	if c.deaf { // only a hang-up can have woken us
		w.lose(c, ErrHungUp)
		return
	}
	n, err := unix.Read(int(c.fd), w.buf)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return
	case err != nil:
		w.lose(c, os.NewSyscallError("read", err))
		return
	case n == 0:
		w.lose(c, ErrHungUp)
		return
	}
	w.Stats.Reads++
	w.Stats.BytesIn += uint64(n)
	if at := stamp.Now(); c.tls != nil {
		c.decrypt(w.buf[:n], at)
	} else {
		c.plain(w.buf[:n], at)
	}
}

// plain takes what the server has said.
func (c *Conn) plain(b []byte, at int64) {
	if len(c.partial) > 0 {
		c.partial = append(c.partial, b...)
		b = c.partial
	}
	if c.state < greeting {
		if b = c.upgraded(b); c.state < greeting {
			c.keep(b)
			return
		}
	}
	c.keep(c.frames(b, at))
}

// keep remembers what could not be read yet; b may be the end of c.partial.
func (c *Conn) keep(b []byte) {
	if c.state == gone || len(b) == 0 {
		c.partial = nil
		return
	}
	c.partial = append(c.partial[:0], b...)
}

// upgraded reads the answer to the upgrade, and returns what follows it.
func (c *Conn) upgraded(b []byte) []byte {
	head, rest, whole := bytes.Cut(b, []byte("\r\n\r\n"))
	if !whole {
		if len(b) > maxHead {
			c.crowd.lose(c, fmt.Errorf("the answer to the upgrade has over %d bytes", maxHead))
		}
		return b
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		status, _, _ := bytes.Cut(head, []byte("\r\n"))
		c.crowd.lose(c, fmt.Errorf("the upgrade was refused: %s %s", status, rest[:min(len(rest), 200)]))
		return nil
	}
	c.state = greeting
	traits := &c.crowd.traits
	if traits.Greeting != "" {
		c.Text([]byte(traits.Greeting))
	}
	if traits.OpensItself {
		c.up()
	}
	return rest
}

// up says that the session is there.
func (c *Conn) up() {
	if c.state != greeting {
		return
	}
	c.state = open
	c.crowd.Stats.Pending--
	c.crowd.Stats.Open++
	if c.crowd.options.Opened != nil {
		c.crowd.options.Opened(c)
	}
}

// frames handles every whole frame of b and returns the rest.
func (c *Conn) frames(b []byte, at int64) []byte {
	for c.state != gone {
		op, payload, rest, ok, err := wsframe.Next(b)
		if err != nil {
			c.crowd.lose(c, err)
			return nil
		}
		if !ok {
			return b
		}
		b = rest
		c.crowd.Stats.Frames++
		c.handle(op, payload, at)
	}
	return nil
}

func (c *Conn) handle(op wsframe.Opcode, payload []byte, at int64) {
	switch op {
	case wsframe.Text:
		for len(payload) > 0 && c.state != gone {
			var m dialect.Message
			m, payload = c.crowd.options.Dialect.Next(payload)
			c.message(m, at)
		}
	case wsframe.Ping:
		c.write(wsframe.Append(nil, wsframe.Pong, payload))
	case wsframe.Close:
		c.crowd.lose(c, closeError(payload))
	}
}

// closeError is what a close frame says.
func closeError(payload []byte) error {
	if len(payload) < 2 {
		return ErrHungUp
	}
	return fmt.Errorf("%w: close %d %s", ErrHungUp, int(payload[0])<<8|int(payload[1]), payload[2:])
}

func (c *Conn) message(m dialect.Message, at int64) {
	traits := &c.crowd.traits
	switch m.Kind {
	case dialect.Hello:
		c.Text([]byte(traits.Hello))
	case dialect.Ping:
		c.Text([]byte(traits.Pong))
	case dialect.Opened:
		c.up()
	default:
		if c.state == greeting && m.Kind == dialect.Refused {
			c.crowd.lose(c, fmt.Errorf("the session was refused: %s", m.Body[:min(len(m.Body), 200)]))
			return
		}
		if c.crowd.options.Message != nil {
			c.crowd.options.Message(c, m, at)
		}
	}
}
