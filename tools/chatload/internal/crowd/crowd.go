// Package crowd is many WebSocket clients on one goroutine: an epoll set, one read
// buffer, and a small struct for each connection. It opens them, frames what they
// send, and hands what they get to callbacks. It is as cheap as a client can be made,
// so that one core of it can keep a core of a server busy.
package crowd

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"time"

	"github.com/confab-chat/confab/tools/chatload/internal/dialect"
)

// ErrUnsupported is returned by New where there is no epoll.
var ErrUnsupported = errors.New("the load generator needs Linux (epoll)")

// ErrHungUp is why a connection ended that the server closed.
var ErrHungUp = errors.New("the server hung up")

// Options are one crowd's. Zero values are replaced where a comment says so.
type Options struct {
	Dialect dialect.Dialect
	// Token is asked for when a connection is opened, by its number; nil: none.
	Token func(number int) string
	// TLS is for servers that want it; nil: none. Without a ServerName the certificate
	// must be for the target's address.
	TLS *tls.Config
	// FirstSource numbers the first source address on loopback, so that several
	// generators do not share the ports of one.
	FirstSource int
	// PerSource is how many connections share a source address (4 000). The kernel
	// has about 28 000 ports for each, but looks for a free one the longer the more
	// are taken.
	PerSource int

	// Opened, Message and Closed are called from Poll, and Closed also from Text.
	// Message is called for what Crowd does not answer by itself. at is stamp.Now as
	// of the read; m.Body is valid until it returns.
	Opened  func(c *Conn)
	Message func(c *Conn, m dialect.Message, at int64)
	Closed  func(c *Conn, why error)
}

type state uint8

const (
	connecting state = iota
	securing         // in the hands of the handshake's goroutine
	upgrading
	greeting // upgraded, the session is not up yet
	open
	gone
)

// Conn is one client. Its exported fields belong to the user of the crowd.
type Conn struct {
	Number int32  // counts from 0 in the order of Dial
	Room   int32  // -1 at first
	Got    uint32 // at the user's disposal, as the next three
	Last   uint32
	Since  int64 // stamp.Now of something
	Joined bool

	crowd   *Crowd
	target  netip.AddrPort
	fd      int32
	slot    int32
	state   state
	blocked bool   // out waits for the socket
	deaf    bool   // see Deafen
	partial []byte // of a frame
	out     []byte // not written yet
	tls     *tls.Conn
	wire    *wire // below tls
}

// Stats are counts since New.
type Stats struct {
	Pending, Open, Lost int // connections; Lost also counts those that were refused
	Reads, Frames       uint64
	BytesIn             uint64
	FirstError          error // why the first of the lost was lost
}

// wait bounds one sleep of Poll, so that callers can look at the clock.
const wait = 100 * time.Millisecond
