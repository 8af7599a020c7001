package poll

import (
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sock is one socket. It holds no buffer: an idle connection costs nothing else here.
type sock struct {
	poll     *epoll
	handler  Handler
	fd       int32
	slot     uint32
	interest uint32
	closed   bool
}

func (s *sock) ready(events uint32) {
	defer s.poll.loop.recoverPanic(s.fail)
	if s.interest&unix.EPOLLIN != 0 {
		if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			s.read()
		}
	} else if events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.fail(s.pendingError()) // paused, but the connection is gone
	}
	if events&unix.EPOLLOUT != 0 && !s.closed && s.interest&unix.EPOLLOUT != 0 {
		s.setInterest(s.interest &^ unix.EPOLLOUT)
		s.handler.Writable()
	}
}

func (s *sock) read() {
	buf := s.poll.loop.buf
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(s.fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
	case errno != 0:
		s.fail(os.NewSyscallError("read", errno))
	case n == 0:
		s.fail(io.EOF)
	default:
		s.handler.Readable(buf[:n])
	}
}

func (s *sock) Write(b []byte) (int, error) {
	if s.closed {
		return 0, errGone
	}
	if len(b) == 0 {
		return 0, nil
	}
	n, _, errno := syscall.RawSyscall(unix.SYS_WRITE, uintptr(s.fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		if errno != unix.EAGAIN && errno != unix.EINTR {
			return 0, os.NewSyscallError("write", errno)
		}
		n = 0
	}
	if int(n) < len(b) {
		s.setInterest(s.interest | unix.EPOLLOUT)
	}
	return int(n), nil
}

// fail ends the connection for a reason that the handler did not give.
func (s *sock) fail(reason error) {
	if s.closed {
		return
	}
	h := s.handler
	s.Close()
	if h != nil {
		h.Closed(reason)
	}
}

func (s *sock) pendingError() error {
	errno, err := unix.GetsockoptInt(int(s.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		return os.NewSyscallError("read", syscall.Errno(errno))
	}
	return io.EOF
}

func (s *sock) setInterest(events uint32) {
	if events == s.interest || s.closed {
		return
	}
	s.interest = events
	if err := s.poll.control(unix.EPOLL_CTL_MOD, int(s.fd), int32(s.slot), events); err != nil {
		s.poll.loop.logger.Warn("change of interest refused by epoll", "event", "loop.modify", "err", err)
	}
}

// release removes the socket from the loop without closing its descriptor.
func (s *sock) release() {
	s.closed = true
	s.handler = nil
	s.poll.socks[s.slot] = nil
	s.poll.freed = append(s.poll.freed, s.slot)
	s.poll.loop.conns.Add(-1)
}

func (s *sock) Close() {
	if s.closed {
		return
	}
	s.release()
	unix.Close(int(s.fd))
}

func (s *sock) Abort() {
	if s.closed {
		return
	}
	unix.SetsockoptLinger(int(s.fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	s.Close()
}

func (s *sock) CloseWrite() {
	if !s.closed {
		unix.Shutdown(int(s.fd), unix.SHUT_WR)
	}
}

func (s *sock) PauseReads()          { s.setInterest(s.interest &^ unix.EPOLLIN) }
func (s *sock) ResumeReads()         { s.setInterest(s.interest | unix.EPOLLIN) }
func (s *sock) SetHandler(h Handler) { s.handler = h }
func (s *sock) Loop() *Loop          { return s.poll.loop }

func (s *sock) RemoteAddr() netip.AddrPort {
	if s.closed {
		return netip.AddrPort{}
	}
	var raw rawAddr
	if err := raw.peerOf(int(s.fd)); err != nil {
		return netip.AddrPort{}
	}
	return raw.addrPort()
}

// Detach returns the socket to the Go runtime. Written bytes never wait in a sock.
func (s *sock) Detach() (net.Conn, error) {
	if s.closed {
		return nil, ErrDetach
	}
	if err := s.poll.control(unix.EPOLL_CTL_DEL, int(s.fd), int32(s.slot), 0); err != nil {
		return nil, err
	}
	s.release()
	f := os.NewFile(uintptr(s.fd), "socket")
	defer f.Close() // FileConn has its own duplicate
	return net.FileConn(f)
}
