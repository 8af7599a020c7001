//go:build linux

package clients

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/confab-chat/confab/tools/bench/internal/stamp"
)

const (
	// openTimeout bounds the TCP, TLS and WebSocket handshakes of one connection together.
	openTimeout = 30 * time.Second
	// connsPerSource is how many connections share a source address. The kernel has
	// about 28 000 ports for each, but searches longer the more of them are taken.
	connsPerSource = 4_000
)

// opened is what a goroutine of Dial found.
type opened struct {
	conn *Conn
	err  error // if not nil, the rest is not set
	fd   int   // non-blocking, owned by the receiver
	tls  *tls.Conn
	wire *wire  // below tls
	rest []byte // read after the answer to the upgrade
}

// Dial starts to open a connection. Opened or Closed is called for it later. Callers
// bound how many they open at a time: each has a goroutine.
func (l *Loop) Dial(target netip.AddrPort) *Conn {
	c := &Conn{Number: l.dialed, Room: -1, loop: l, fd: -1}
	l.dialed++
	l.Stats.Pending++
	l.opening.Go(func() {
		o, err := l.open(int(c.Number), target)
		o.conn, o.err = c, err
		l.finish(o)
	})
	return c
}

// open opens a connection up to the WebSocket upgrade.
func (l *Loop) open(number int, target netip.AddrPort) (o opened, err error) {
	ctx, cancel := context.WithTimeout(l.ctx, openTimeout)
	defer cancel()
	dialer := net.Dialer{KeepAlive: -1}
	if target.Addr().Is4() && target.Addr().IsLoopback() {
		dialer.LocalAddr, dialer.Control = l.source(number), bindWithoutPort
	}
	conn, err := dialer.DialContext(ctx, "tcp", target.String())
	if err != nil {
		return o, err
	}
	defer conn.Close() // the loop gets a duplicate, which the runtime's poller does not watch
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var stream io.ReadWriter = conn
	scheme := "ws"
	if l.options.TLS != nil {
		config := l.options.TLS.Clone()
		if config.ServerName == "" {
			config.ServerName = target.Addr().String()
		}
		o.wire = &wire{Conn: conn}
		o.tls = tls.Client(o.wire, config)
		if err := o.tls.HandshakeContext(ctx); err != nil {
			return o, fmt.Errorf("tls: %w", errors.Join(ctx.Err(), err))
		}
		stream, scheme = o.tls, "wss"
	}
	if o.rest, err = l.upgrade(stream, scheme, target, number); err != nil {
		return o, errors.Join(ctx.Err(), err)
	}
	o.fd, err = duplicate(conn.(syscall.Conn)) // what a TCP dialer returns is one
	return o, err
}

// source returns the source address of a connection, in 127.1.0.0/16.
func (l *Loop) source(number int) net.Addr {
	n := l.options.FirstSource + number/connsPerSource
	return &net.TCPAddr{IP: net.IPv4(127, 1, byte(n/250), byte(1+n%250))}
}

// bindWithoutPort lets connect choose the port, which can then be shared by connections
// to different targets.
func bindWithoutPort(_, _ string, conn syscall.RawConn) error {
	var err error
	return errors.Join(conn.Control(func(fd uintptr) {
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1))
	}), err)
}

// duplicate returns a further descriptor of conn's socket.
func duplicate(conn syscall.Conn) (fd int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	controlErr := raw.Control(func(original uintptr) {
		fd, err = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0)
		err = os.NewSyscallError("fcntl", err)
	})
	return fd, errors.Join(controlErr, err)
}

// upgrade asks for a WebSocket, and returns what the server sent after its answer.
func (l *Loop) upgrade(stream io.ReadWriter, scheme string, target netip.AddrPort, number int) ([]byte, error) {
	var reason []byte
	dialer := ws.Dialer{
		OnStatusError: func(_ int, _ []byte, resp io.Reader) { reason = refusal(resp) },
	}
	if l.traits.Subprotocol != "" {
		dialer.Protocols = []string{l.traits.Subprotocol}
	}
	if l.options.Token != nil && l.traits.Token {
		dialer.Header = ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + l.options.Token(number)}})
	}
	u := &url.URL{Scheme: scheme, Host: target.String(), Path: l.traits.Path, RawQuery: l.traits.Query}
	buffered, _, err := dialer.Upgrade(stream, u)
	if err != nil {
		return nil, fmt.Errorf("upgrade: %w %s", err, reason)
	}
	if buffered == nil {
		return nil, nil
	}
	defer ws.PutReader(buffered)
	rest, err := buffered.Peek(buffered.Buffered())
	return slices.Clone(rest), err
}

// refusal returns the first bytes of a response's body, which say why.
func refusal(resp io.Reader) []byte {
	r, err := http.ReadResponse(bufio.NewReader(resp), nil)
	if err != nil {
		return nil
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxReason)) // for the message only
	return body
}

// adopt makes the loop read what a goroutine has opened.
func (l *Loop) adopt(o opened) {
	c := o.conn
	switch {
	case c.state == closed: // by Abort, meanwhile
		if o.err == nil {
			unix.Close(o.fd)
		}
		return
	case o.err != nil:
		l.lose(c, o.err)
		return
	}
	c.state, c.fd, c.tls, c.wire = greeting, o.fd, o.tls, o.wire
	for len(l.conns) <= c.fd {
		l.conns = append(l.conns, nil)
	}
	l.conns[c.fd] = c
	if err := l.control(unix.EPOLL_CTL_ADD, c.fd, unix.EPOLLIN); err != nil {
		l.lose(c, err)
		return
	}
	at := stamp.Now()
	if c.wire != nil {
		c.wire.owner = c
	}
	if l.traits.Greeting != "" {
		c.Send([]byte(l.traits.Greeting))
	}
	if l.traits.OpenOnUpgrade {
		c.markOpen()
	}
	c.receive(o.rest, at)
	if c.tls != nil {
		c.decrypt(nil, at) // what came with the answer, and crypto/tls has read
	}
}
