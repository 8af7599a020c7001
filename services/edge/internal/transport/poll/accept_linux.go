package poll

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// acceptsPerTurn bounds a connection storm's share of a turn.
	acceptsPerTurn = 64

	// maxImbalance is how many connections a loop may have more than the least loaded one
	// before it passes new ones on: wake-ups are not fair, and connections last for hours.
	maxImbalance = 8
)

// listener is one listening socket that all loops wait on. EPOLLEXCLUSIVE
// wakes one of them for a connection, instead of all. (SO_REUSEPORT would spread them too,
// but closing one of the sockets would lose the connections that wait in it, and a port
// that another process uses with the same option would not be an error.)
type listener struct {
	group *Group
	fd    int
	users atomic.Int32 // loops that may still call accept; the last one closes fd
	once  sync.Once
}

// acceptor is a loop's view of a listener.
type acceptor struct {
	listener *listener
	accept   Acceptor
	on       bool
	starved  bool // out of descriptors: try again with the next tick
	timer    Timer
	poll     *epoll
	slot     int32
}

func (g *Group) listen(ln net.Listener, accept Acceptor) (io.Closer, error) {
	tcp, ok := ln.(*net.TCPListener)
	if _, isEpoll := g.loops[0].poller.(*epoll); !ok || !isEpoll {
		return g.listenPump(ln, accept), nil
	}
	fd, err := detachFD(tcp)
	if err != nil {
		return nil, err
	}
	// Accepted sockets inherit the options, which spares calls for each.
	err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if g.options.SendBuffer > 0 && err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, g.options.SendBuffer)
	}
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("setsockopt", err)
	}
	s := &listener{group: g, fd: fd}
	s.users.Store(int32(len(g.loops)))
	for _, l := range g.loops {
		if !l.Post(func() { l.poller.(*epoll).listen(s, accept) }) {
			s.release()
		}
	}
	return s, nil
}

// detachFD removes the socket from the Go runtime, which would otherwise wake up for every
// connection as well.
func detachFD(c interface {
	syscall.Conn
	io.Closer
}) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	var dup error
	err = raw.Control(func(old uintptr) { fd, dup = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, dup); err != nil {
		return -1, os.NewSyscallError("fcntl", err)
	}
	return fd, c.Close()
}

// Close stops accepting, soon after it returns: each loop removes the listener in its own
// turn.
func (s *listener) Close() error {
	s.once.Do(func() {
		for _, l := range s.group.loops {
			if !l.Post(func() { l.poller.(*epoll).unlisten(s) }) {
				s.release()
			}
		}
	})
	return nil
}

func (s *listener) release() {
	if s.users.Add(-1) == 0 {
		unix.Close(s.fd)
	}
}

func (p *epoll) listen(s *listener, accept Acceptor) {
	a := &acceptor{listener: s, accept: accept, poll: p, slot: int32(wakeSlot - 1 - len(p.acceptors))}
	a.timer.Owner = a
	p.acceptors = append(p.acceptors, a)
	a.enable()
}

func (p *epoll) unlisten(s *listener) {
	for _, a := range p.acceptors {
		if a.listener == s && a.accept != nil {
			a.disable()
			a.timer.unlink()
			a.accept = nil
			s.release()
		}
	}
}

func (a *acceptor) enable() {
	err := a.poll.control(unix.EPOLL_CTL_ADD, a.listener.fd, a.slot, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
	if err != nil {
		a.poll.loop.logger.Error("listening socket refused by epoll", "event", "loop.listen", "err", err)
		return
	}
	a.on = true
}

func (a *acceptor) disable() {
	if a.on {
		a.on = false
		// It fails only for a descriptor that is not registered.
		a.poll.control(unix.EPOLL_CTL_DEL, a.listener.fd, a.slot, 0)
	}
}

// Expire tries again after the process had run out of descriptors.
func (a *acceptor) Expire() { a.enable() }

// accept accepts a batch of waiting connections of acceptor i.
func (p *epoll) accept(i int) {
	a := p.acceptors[i]
	var raw rawAddr
	for range acceptsPerTurn {
		if a.accept == nil {
			return
		}
		fd, errno := raw.accept(a.listener.fd)
		switch errno {
		case 0:
			a.starved = false
			p.assign(fd, a.accept, raw.addrPort())
		case unix.EAGAIN:
			return
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			a.pause(errno)
			return
		default:
			// The connection died in the queue (ECONNABORTED and the network
			// errors that accept(2) lists): the next one is independent.
		}
	}
}

// pause stops accepting for a tick: the socket stays readable, and an immediate retry would
// be a busy loop until a connection is closed.
func (a *acceptor) pause(errno syscall.Errno) {
	a.disable()
	a.poll.loop.Arm(&a.timer, a.poll.loop.Tick()+1)
	if !a.starved {
		a.starved = true
		a.poll.loop.logger.Warn("accepting paused", "event", "loop.starved", "err", errno)
	}
}

// assign adds a new socket to this loop, or to the least loaded one if the difference is
// more than maxImbalance.
func (p *epoll) assign(fd int, accept Acceptor, peer netip.AddrPort) {
	l := p.loop
	if least := l.group.leastLoaded(); l.conns.Load() > least.conns.Load()+maxImbalance {
		l = least
	}
	l.addSocket(fd, accept, peer, l == p.loop)
}

// addSocket adds fd to l, on l if here, else through its mailbox. It counts the socket at
// once, so that a burst is spread evenly.
func (l *Loop) addSocket(fd int, accept Acceptor, peer netip.AddrPort, here bool) {
	l.conns.Add(1)
	p := l.poller.(*epoll)
	if here {
		p.add(fd, accept, peer)
		return
	}
	if !l.Post(func() { p.add(fd, accept, peer) }) {
		l.conns.Add(-1)
		unix.Close(fd)
	}
}

func (l *Loop) attach(nc net.Conn, accept Acceptor) error {
	tcp, ok := nc.(*net.TCPConn)
	if _, isEpoll := l.poller.(*epoll); !ok || !isEpoll {
		return l.attachPump(nc, accept)
	}
	peer := tcp.RemoteAddr().(*net.TCPAddr).AddrPort()
	fd, err := detachFD(tcp)
	if err != nil {
		return err
	}
	l.addSocket(fd, accept, netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port()), false)
	return nil
}
