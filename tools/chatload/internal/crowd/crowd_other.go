//go:build !linux

package crowd

import (
	"net/netip"
	"time"
)

// Crowd needs Linux.
type Crowd struct{ Stats Stats }

// wire is what TLS runs over, which is nothing here.
type wire struct{}

// New returns ErrUnsupported.
func New(Options) (*Crowd, error) { return nil, ErrUnsupported }

// Dial does nothing here, as all that follows.
func (*Crowd) Dial(netip.AddrPort) (*Conn, error) { return nil, ErrUnsupported }

// Poll does nothing.
func (*Crowd) Poll(time.Duration) {}

// Close does nothing.
func (*Crowd) Close() {}

// Text does nothing.
func (*Conn) Text([]byte) {}

// Deafen does nothing.
func (*Conn) Deafen() {}

// HangUp does nothing.
func (*Conn) HangUp() {}

// Leave does nothing.
func (*Conn) Leave() {}
