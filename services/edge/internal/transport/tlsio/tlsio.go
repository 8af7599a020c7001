// Package tlsio puts TLS on a loop's sockets. (Pumps take a tls.Conn as they take
// any connection; what is here needs a transport that can be detached at any time,
// which a goroutine in the middle of a Read cannot.) Only the handshake has a
// goroutine; from then on crypto/tls is driven by what the loop reads, over a
// wire whose Read reports a temporary error when nothing has come.
package tlsio

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

const (
	// chunk is the most that one Write encrypts ahead of what the transport takes.
	chunk = 64 << 10

	// plainBuffer takes one record (RFC 8446 section 5.1).
	plainBuffer = 16 << 10

	// goodbye is how long Close waits for the transport to take what was written.
	goodbye = 2 * time.Second
)

// errClosed is returned by Write on a stream that is closed.
var errClosed = errors.New("tls stream is closed")

// Acceptor speaks TLS on every transport that it is given, and gives accept the
// plain side, at once: its handler hears nothing before the handshake is done, and
// may end it, when it takes too long, by Close.
func Acceptor(config *tls.Config, loops int, accept poll.Acceptor) poll.Acceptor {
	config = config.Clone()
	config.DynamicRecordSizingDisabled = true // frames come in batches, not as one long stream
	plain := make([][]byte, loops)            // each its loop's
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

// stream is a poll.Transport with TLS, and the handler of the transport below.
// Owned by the loop, except for the handshake's goroutine, which has conn until it
// posts its outcome.
type stream struct {
	// Static.
	t     poll.Transport
	plain []byte // the loop's
	wire  *wire
	conn  *tls.Conn

	handler poll.Handler
	timer   poll.Timer
	waiting []byte // encrypted, not taken by t
	state   state
	full    bool // Write took less than it was given
	paused  bool
	wrote   bool
	shut    bool // CloseWrite when waiting is empty
}

type state uint8

const (
	shaking state = iota
	open
	leaving // closed, with bytes that the transport has not taken
	over
)

// handshake is the goroutine of that name.
func (s *stream) handshake() {
	err := s.conn.Handshake()
	s.t.Loop().Post(func() { s.shaken(err) })
}

// shaken handles the outcome of the handshake.
func (s *stream) shaken(err error) {
	switch {
	case s.state != shaking:
	case err != nil:
		s.fail(err)
	default:
		s.state = open
		s.wire.settle()
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
	case shaking:
		s.wire.feed(b)
	case open:
		s.wire.lend(b)
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
	s.wire.keep()
}

// Writable implements poll.Handler.
func (s *stream) Writable() {
	if s.waiting = s.waiting[s.put(s.waiting):]; len(s.waiting) > 0 {
		return
	}
	s.waiting = nil
	switch {
	case s.state == leaving:
		s.t.Close()
		s.end()
		return
	case s.shut:
		s.shut = false
		s.t.CloseWrite()
	}
	if s.full && s.state == open {
		s.full = false
		s.handler.Writable()
	}
}

// put writes to the transport as much of b as it accepts. If the transport fails, the rest
// is lost with the connection, which Closed reports.
func (s *stream) put(b []byte) int {
	n, err := s.t.Write(b)
	if err != nil {
		return len(b)
	}
	return n
}

// send writes what TLS has encrypted.
func (s *stream) send(b []byte) {
	if s.state == over {
		return
	}
	if len(s.waiting) == 0 {
		b = b[s.put(b):]
	}
	s.waiting = append(s.waiting, b...)
}

// Closed implements poll.Handler.
func (s *stream) Closed(reason error) {
	h, open := s.handler, s.state < leaving
	s.end()
	if h != nil && open {
		h.Closed(reason)
	}
}

// Expire implements poll.Expirer: a peer that does not read the last bytes loses them.
func (s *stream) Expire() { s.Abort() }

// fail ends the connection from TLS's side. The alert that says why was sent.
func (s *stream) fail(reason error) {
	h := s.handler
	s.leave()
	if h != nil {
		h.Closed(reason)
	}
}

func (s *stream) end() {
	s.state = over
	s.handler = nil
	s.waiting = nil
	s.wire.close()
	s.t.Loop().Disarm(&s.timer)
}

// leave closes the transport when it has accepted what waits.
func (s *stream) leave() {
	if len(s.waiting) == 0 {
		s.t.Close()
		s.end()
		return
	}
	s.state, s.handler = leaving, nil
	s.wire.close()
	s.t.Loop().Arm(&s.timer, s.t.Loop().Tick()+s.t.Loop().Ticks(goodbye))
}

// Write implements poll.Transport. Before the handshake is done it takes nothing.
func (s *stream) Write(b []byte) (n int, err error) {
	switch s.state {
	case shaking:
		s.full = s.full || len(b) > 0
		return 0, nil
	case leaving, over:
		return 0, errClosed
	}
	s.wrote = true
	for n < len(b) && len(s.waiting) == 0 {
		k, err := s.conn.Write(b[n:min(len(b), n+chunk)])
		if err != nil {
			return n, err
		}
		n += k
	}
	s.full = n < len(b)
	return n, nil
}

// CloseWrite implements poll.Transport.
func (s *stream) CloseWrite() {
	switch {
	case s.state == shaking:
		s.t.CloseWrite()
	case s.state != open:
	default:
		s.goodbye()
		if s.shut = len(s.waiting) > 0; !s.shut {
			s.t.CloseWrite()
		}
	}
}

// Close implements poll.Transport.
func (s *stream) Close() {
	switch s.state {
	case shaking:
		s.t.Close()
		s.end()
	case open:
		s.goodbye()
		s.leave()
	}
}

// goodbye sends the close_notify alert (RFC 8446 section 6.1).
func (s *stream) goodbye() {
	_ = s.conn.CloseWrite() // the wire never fails; Closed reports a lost peer
}

// Abort implements poll.Transport.
func (s *stream) Abort() {
	if s.state != over {
		s.t.Abort()
		s.end()
	}
}

// PauseReads implements poll.Transport.
func (s *stream) PauseReads() {
	s.paused = true
	s.t.PauseReads()
}

// ResumeReads implements poll.Transport. What was decrypted no further comes
// first, from the loop.
func (s *stream) ResumeReads() {
	if !s.paused || s.state > open {
		return
	}
	s.paused = false
	s.t.ResumeReads()
	s.t.Loop().Post(s.decrypt)
}

// SetHandler implements poll.Transport.
func (s *stream) SetHandler(h poll.Handler) { s.handler = h }

// Loop implements poll.Transport.
func (s *stream) Loop() *poll.Loop { return s.t.Loop() }

// RemoteAddr implements poll.Transport.
func (s *stream) RemoteAddr() netip.AddrPort { return s.t.RemoteAddr() }

// Detach implements poll.Transport: TLS goes along.
func (s *stream) Detach() (net.Conn, error) {
	if s.state != open || s.wrote || len(s.waiting) > 0 {
		return nil, poll.ErrDetach
	}
	nc, err := s.t.Detach()
	if err != nil {
		return nil, err
	}
	s.state, s.handler = over, nil
	s.wire.detach(nc)
	return s.conn, nil
}

var (
	_ poll.Transport = (*stream)(nil)
	_ poll.Handler   = (*stream)(nil)
	_ net.Error      = empty{}
	_ io.ReadWriter  = (*wire)(nil)
)
