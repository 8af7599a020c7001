// Package tlsio runs TLS on a loop's sockets. Only the handshake has a goroutine. After it the
// loop drives crypto/tls over a wire whose Read returns a temporary error when no bytes have
// arrived. The transport below must be detachable at any time, so goroutine transports do not
// use this package: they take a tls.Conn like any other connection.
package tlsio

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

const (
	// chunk is how many bytes one Write encrypts before it checks whether the transport accepts
	// them.
	chunk = 64 << 10

	// plainBuffer holds one record (RFC 8446 section 5.1).
	plainBuffer = 16 << 10

	// closePatience is how long Close waits for the transport to accept what was written.
	closePatience = 2 * time.Second
)

// errClosed is returned by Write on a stream that is closed.
var errClosed = errors.New("tls stream is closed")

// Acceptor returns an acceptor that runs TLS on each new transport and passes the plain side to
// accept at once. The plain side's handler is not called before the handshake is done; its user
// may end a slow handshake with Close.
func Acceptor(config *tls.Config, loops int, accept poll.Acceptor) poll.Acceptor {
	config = config.Clone()
	config.DynamicRecordSizingDisabled = true // frames are written in batches, not as one long stream
	plain := make([][]byte, loops)            // one per loop
	for i := range plain {
		plain[i] = make([]byte, plainBuffer)
	}
	return func(t poll.Transport, peer netip.AddrPort) {
		s := &stream{t: t, plain: plain[t.Loop().Index()]}
		s.wire = newWire(s)
		s.conn = tls.Server(s.wire, config)
		s.timer.Owner = s
		t.SetHandler(s)
		t.Loop().Go(s.handshake)
		accept(s, peer)
		if s.handler == nil {
			s.Close()
		}
	}
}

// stream is a poll.Transport with TLS, and the handler of the transport below. Owned by the
// loop, except that the handshake's goroutine owns conn until it posts its outcome.
type stream struct {
	// Static.
	t     poll.Transport
	plain []byte // the loop's
	wire  *wire
	conn  *tls.Conn

	handler           poll.Handler
	timer             poll.Timer
	waiting           []byte // encrypted, not yet accepted by t
	state             state
	full              bool // Write accepted less than it was passed
	paused            bool
	wrote             bool
	closeWritePending bool // call CloseWrite when waiting is empty
}

type state uint8

const (
	handshaking state = iota
	open
	closing // Close was called, and the transport has not accepted all bytes
	ended
)

// handshake runs on a goroutine of its own.
func (s *stream) handshake() {
	err := s.conn.Handshake()
	s.t.Loop().Post(func() { s.finishHandshake(err) })
}

// finishHandshake handles the outcome of the handshake.
func (s *stream) finishHandshake(err error) {
	switch {
	case s.state != handshaking:
	case err != nil:
		s.fail(err)
	default:
		s.state = open
		s.wire.handshakeDone()
		if s.full {
			s.full = false
			s.handler.Writable()
		}
		s.decrypt()
	}
}

// Readable implements poll.Handler: b is encrypted.
func (s *stream) Readable(b []byte) {
	switch s.state {
	case handshaking:
		s.wire.addHandshakeBytes(b)
	case open:
		s.wire.setInput(b)
		s.decrypt()
	}
}

// decrypt passes the decrypted bytes to the handler.
func (s *stream) decrypt() {
	for s.state == open && !s.paused {
		n, err := s.conn.Read(s.plain)
		if n > 0 {
			s.handler.Readable(s.plain[:n])
		}
		if errors.Is(err, errEmpty) {
			break
		}
		if err != nil && s.state == open {
			s.fail(err)
		}
	}
	s.wire.keepInput()
}

// Writable implements poll.Handler.
func (s *stream) Writable() {
	if s.waiting = s.waiting[s.writeTransport(s.waiting):]; len(s.waiting) > 0 {
		return
	}
	s.waiting = nil
	switch {
	case s.state == closing:
		s.t.Close()
		s.release()
		return
	case s.closeWritePending:
		s.closeWritePending = false
		s.t.CloseWrite()
	}
	if s.full && s.state == open {
		s.full = false
		s.handler.Writable()
	}
}

// writeTransport writes as much of b as the transport accepts. If the transport fails, the rest
// is lost with the connection, which Closed reports.
func (s *stream) writeTransport(b []byte) int {
	n, err := s.t.Write(b)
	if err != nil {
		return len(b)
	}
	return n
}

// send writes what TLS has encrypted.
func (s *stream) send(b []byte) {
	if s.state == ended {
		return
	}
	if len(s.waiting) == 0 {
		b = b[s.writeTransport(b):]
	}
	s.waiting = append(s.waiting, b...)
}

// Closed implements poll.Handler.
func (s *stream) Closed(reason error) {
	h, open := s.handler, s.state < closing
	s.release()
	if h != nil && open {
		h.Closed(reason)
	}
}

// Expire implements poll.Expirer: a peer that does not read the last bytes loses them.
func (s *stream) Expire() { s.Abort() }

// fail ends the connection from TLS's side. The alert that says why was sent.
func (s *stream) fail(reason error) {
	h := s.handler
	s.closeTransport()
	if h != nil {
		h.Closed(reason)
	}
}

func (s *stream) release() {
	s.state = ended
	s.handler = nil
	s.waiting = nil
	s.wire.close()
	s.t.Loop().Disarm(&s.timer)
}

// closeTransport closes the transport when it has accepted what waits.
func (s *stream) closeTransport() {
	if len(s.waiting) == 0 {
		s.t.Close()
		s.release()
		return
	}
	s.state, s.handler = closing, nil
	s.wire.close()
	s.t.Loop().Arm(&s.timer, s.t.Loop().Tick()+s.t.Loop().Ticks(closePatience))
}

var _ net.Error = empty{} // crypto/tls looks for it
