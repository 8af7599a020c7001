package poll

import (
	"errors"
	"net"
	"net/netip"
	"time"
)

var (
	// ErrStopped is the reason of Closed when the loops stop.
	ErrStopped = errors.New("event loop stopped")
	// ErrPanic is the reason of Closed when the handler panicked.
	ErrPanic = errors.New("handler panicked")
	// ErrDetach is returned by Detach when the transport cannot be handed
	// over any more: it is closed, or written bytes still wait in it.
	ErrDetach = errors.New("transport cannot be detached")
	// errGone is returned by Write on a closed transport.
	errGone = errors.New("transport is closed")
)

// Transport is a byte stream to one peer, owned by a loop. All methods are
// called on that loop and never block.
type Transport interface {
	// Write accepts as many bytes as fit. n < len(b) without an error means full:
	// Handler.Writable is called once when there is space again. After an error the
	// transport can only be closed.
	Write(b []byte) (n int, err error)
	// CloseWrite ends the stream to the peer; reading goes on.
	CloseWrite()
	// Close ends the connection after the bytes that Write has accepted. The handler is
	// not called any more. Unread bytes make the system send a reset, which may cost
	// the peer the last bytes: see Linger.
	Close()
	// Abort ends the connection at once with a reset; accepted bytes may be lost.
	Abort()
	// PauseReads stops Handler.Readable after the current call; the peer is blocked when
	// the system's buffers are full. While paused, the end of the stream may go
	// unnoticed.
	PauseReads()
	ResumeReads()
	// SetHandler replaces the handler, also from inside one of its calls.
	SetHandler(Handler)
	// Detach removes the connection from the loop, for net/http. It is allowed inside
	// Readable, and only while no written bytes wait in the transport.
	Detach() (net.Conn, error)
	Loop() *Loop
	// RemoteAddr returns the peer's address, the zero value when it is gone.
	RemoteAddr() netip.AddrPort
}

// Handler handles the events of a transport. Its methods are called on the loop.
type Handler interface {
	// Readable receives bytes. b belongs to the loop: the handler may change it, but must
	// not keep it.
	Readable(b []byte)
	// Writable is called when a transport that was full accepts bytes again.
	Writable()
	// Closed is the last call, when the transport has ended for another reason than
	// Close, Abort or Detach: io.EOF, a system error, ErrStopped or ErrPanic.
	Closed(reason error)
}

// Acceptor receives a new connection on the loop that owns it, and must set its handler:
// a transport without one is closed.
type Acceptor func(t Transport, peer netip.AddrPort)

// maxLinger bounds the lingering connections of a loop. Each holds a descriptor for a few
// seconds.
const maxLinger = 2048

// Linger closes t so that a peer that is still sending receives the last bytes: the write
// side is closed at once, and incoming bytes are discarded until the peer closes too. After
// d the connection is aborted. (Closing a socket with unread bytes makes the system reset
// it, and a reset overtakes bytes that the peer has not read yet.) When maxLinger
// connections of the loop linger already, t is closed at once.
func Linger(t Transport, d time.Duration) {
	if t.Loop().lingering >= maxLinger {
		t.Close()
		return
	}
	t.Loop().lingering++
	l := &lingerer{transport: t}
	l.timer.Owner = l
	t.SetHandler(l)
	t.ResumeReads()
	t.CloseWrite()
	t.Loop().Arm(&l.timer, t.Loop().Tick()+t.Loop().Ticks(d))
}

// lingerer is the handler of a lingering connection.
type lingerer struct {
	transport Transport
	timer     Timer
}

func (l *lingerer) Readable([]byte) {}
func (l *lingerer) Writable()       {}

func (l *lingerer) Closed(error) {
	l.timer.unlink()
	l.transport.Loop().lingering--
}

func (l *lingerer) Expire() {
	l.transport.Abort()
	l.transport.Loop().lingering--
}

// Refuse rejects a new connection: it writes b and lingers for d. An acceptor calls it.
func Refuse(t Transport, b []byte, d time.Duration) {
	// A new socket accepts a short answer whole; anything more is not worth the effort.
	t.Write(b)
	Linger(t, d)
}
