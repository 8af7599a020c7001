package poll

import (
	"encoding/binary"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawAddr is a socket address in the kernel's layout.
type rawAddr struct {
	any unix.RawSockaddrAny
	len uint32
}

func (r *rawAddr) accept(fd int) (int, syscall.Errno) {
	r.len = unix.SizeofSockaddrAny
	n, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&r.any)),
		uintptr(unsafe.Pointer(&r.len)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int(n), errno
}

func (r *rawAddr) peerOf(fd int) error {
	r.len = unix.SizeofSockaddrAny
	_, _, errno := syscall.RawSyscall(unix.SYS_GETPEERNAME, uintptr(fd), uintptr(unsafe.Pointer(&r.any)), uintptr(unsafe.Pointer(&r.len)))
	if errno != 0 {
		return os.NewSyscallError("getpeername", errno)
	}
	return nil
}

func (r *rawAddr) addrPort() netip.AddrPort {
	switch r.any.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(&r.any))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), networkPort(a.Port))
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(&r.any))
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), networkPort(a.Port))
	}
	return netip.AddrPort{}
}

// networkPort converts a port from network byte order.
func networkPort(p uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], p)
	return binary.BigEndian.Uint16(b[:])
}
