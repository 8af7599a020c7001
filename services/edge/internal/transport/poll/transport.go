package poll

import (
	"errors"
	"net"
	"net/netip"
)

var (
	// ErrStopped is the reason of Closed when the loops end.
	ErrStopped = errors.New("event loop stopped")
	// ErrPanic is the reason of Closed when the handler panicked.
	ErrPanic = errors.New("handler panicked")
	// ErrDetach is returned by Detach when the transport cannot be handed
	// over any more: closed, or bytes of ours still wait in it.
	ErrDetach = errors.New("transport cannot be detached")
	// errGone is returned by Write on a closed transport.
	errGone = errors.New("transport is closed")
)

// Transport is a byte stream to one peer, owned by a loop. All methods are
// called on that loop and never block.
type Transport interface {
	// Write takes as many bytes as fit. n < len(b) without an error means
	// full: Handler.Writable is called once when there is room again. After
	// an error the transport is useless; close it.
	Write(b []byte) (n int, err error)
	// CloseWrite tells the peer that nothing follows; reading goes on.
	CloseWrite()
	// Close ends the connection after the bytes that Write has taken. The
	// handler hears nothing more. Unread bytes make the system send a reset,
	// which may cost the peer our last bytes: see Linger.
	Close()
	// Abort ends the connection at once with a reset; taken bytes are lost.
	Abort()
	// PauseReads stops Handler.Readable after the current call; the peer
	// feels it when the system's buffers are full. While paused, an end of
	// the stream may go unnoticed.
	PauseReads()
	ResumeReads()
	// SetHandler replaces the handler, also from inside one of its calls.
	SetHandler(Handler)
	// Detach takes the connection from the loop, for net/http. Legal inside
	// Readable, and only while no bytes of ours wait in the transport.
	Detach() (net.Conn, error)
	Loop() *Loop
	// RemoteAddr is the peer's address; the zero value when it is gone.
	RemoteAddr() netip.AddrPort
}

// Handler hears what happens on a transport, on its loop.
type Handler interface {
	// Readable brings bytes. b belongs to the loop: the handler may change
	// it, but not keep it.
	Readable(b []byte)
	// Writable says that a transport that was full takes bytes again.
	Writable()
	// Closed says that the transport ended by itself: io.EOF, a system error,
	// ErrStopped, ErrPanic. It is the last call; after Close, Abort or Detach
	// it does not come.
	Closed(reason error)
}

// Acceptor receives a new connection on the loop that will own it and gives
// it a handler; a transport left without one is closed.
type Acceptor func(t Transport, peer netip.AddrPort)
