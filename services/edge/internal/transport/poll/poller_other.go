//go:build !linux

package poll

import (
	"errors"
	"fmt"
	"io"
	"net"
)

func newPoller(m Mode, l *Loop) (poller, error) {
	switch m {
	case Auto, Goroutine:
		return newSleeper(l), nil
	case Epoll:
		return nil, fmt.Errorf("mode %q: %w", m, errors.ErrUnsupported)
	}
	return nil, fmt.Errorf("unknown mode %q", m)
}

func (g *Group) listen(ln net.Listener, accept Acceptor) (io.Closer, error) {
	return g.listenPump(ln, accept), nil
}

func (l *Loop) attach(nc net.Conn, accept Acceptor) error { return l.attachPump(nc, accept) }
