package crowd

import (
	"errors"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Dial begins to open a connection; Opened or Closed is called for it later. An
// error concerns this machine (no descriptors, no ports), not the server.
func (w *Crowd) Dial(target netip.AddrPort) (*Conn, error) {
	fd, err := unix.Socket(family(target), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	c := w.admit(fd, target)
	if err := w.connect(c); err != nil {
		w.forget(c)
		return nil, err
	}
	w.Stats.Pending++
	return c, nil
}

// admit makes the struct and gives it a slot.
func (w *Crowd) admit(fd int, target netip.AddrPort) *Conn {
	if len(w.spare) == 0 {
		w.spare = make([]Conn, 256)
	}
	c := &w.spare[0]
	w.spare = w.spare[1:]
	*c = Conn{Number: w.dialed, Room: -1, crowd: w, target: target, fd: int32(fd)}
	w.dialed++
	if n := len(w.free); n > 0 {
		w.conns[w.free[n-1]] = c
		c.slot, w.free = w.free[n-1], w.free[:n-1]
		return c
	}
	c.slot = int32(len(w.conns))
	w.conns = append(w.conns, c)
	return c
}

func (w *Crowd) connect(c *Conn) error {
	fd := int(c.fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("setsockopt TCP_NODELAY", err)
	}
	if err := w.bind(c); err != nil {
		return err
	}
	if err := unix.Connect(fd, sockaddr(c.target)); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return os.NewSyscallError("connect", err)
	}
	return w.control(unix.EPOLL_CTL_ADD, c, unix.EPOLLIN|unix.EPOLLOUT)
}

// bind takes a source address of 127.0.0.0/8 when the server is on loopback.
func (w *Crowd) bind(c *Conn) error {
	if !c.target.Addr().Is4() || !c.target.Addr().IsLoopback() {
		return nil
	}
	if err := unix.SetsockoptInt(int(c.fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return os.NewSyscallError("setsockopt IP_BIND_ADDRESS_NO_PORT", err)
	}
	n := w.options.FirstSource + int(c.slot)/w.options.PerSource
	source := &unix.SockaddrInet4{Addr: [4]byte{127, 1, byte(n / 250), byte(1 + n%250)}}
	return os.NewSyscallError("bind", unix.Bind(int(c.fd), source))
}

func family(a netip.AddrPort) int {
	if a.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}
