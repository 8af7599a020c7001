package poll

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/confab-chat/confab/proto/code"
)

const (
	// eventsPerWait bounds how many sockets one turn serves before timers and posted
	// functions.
	eventsPerWait = 256

	// wakeSlot marks the eventfd; listeners have slots below it.
	wakeSlot = -1

	// yieldAfter is how long a busy loop keeps its core from goroutines that wait for
	// it: too short to be noticed, longer than a yield takes.
	yieldAfter = 100 * time.Microsecond
)

// epoll is the poller of one loop. It is level triggered: a handler reads one buffer and
// returns, and the rest is announced again. So no socket can starve the others, nothing has
// to be remembered, and pausing is a change of the interest mask. Edge triggering would
// save the two calls around a full socket, which is the rare case.
type epoll struct {
	loop   *Loop
	fd     int
	wakeFD int
	events [eventsPerWait]unix.EpollEvent

	socks []*sock  // by slot, which the kernel reports in events
	free  []uint32 // slots for reuse
	freed []uint32 // slots freed during this turn: events of it may still name them

	acceptors []*acceptor

	yielded time.Time // when other goroutines could last run
}

func newPoller(m Mode, l *Loop) (poller, error) {
	switch m {
	case Goroutine:
		return newSleeper(l), nil
	case Auto, Epoll:
		return newEpoll(l)
	}
	return nil, fmt.Errorf("unknown mode %q", m)
}

func newEpoll(l *Loop) (poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("eventfd", err)
	}
	p := &epoll{loop: l, fd: fd, wakeFD: wake}
	if err := p.control(unix.EPOLL_CTL_ADD, wake, wakeSlot, unix.EPOLLIN); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *epoll) wake() {
	one := [8]byte{1}
	// A full counter wakes as well, so an error can be ignored.
	unix.Write(p.wakeFD, one[:])
}

func (p *epoll) close() {
	unix.Close(p.wakeFD)
	unix.Close(p.fd)
}

func (p *epoll) wait(d time.Duration) {
	// Under load there is nearly always something ready, and a raw system call spares
	// the scheduler's bookkeeping.
	n, _, _ := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd),
		uintptr(unsafe.Pointer(&p.events)), eventsPerWait, 0, 0, 0)
	if int(n) == 0 && d > 0 {
		ms := code.Millis(d) // rounded up: a timer is due when the wait ends
		n, _, _ = syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd),
			uintptr(unsafe.Pointer(&p.events)), eventsPerWait, uintptr(ms), 0, 0)
		p.loop.setNow(time.Now())
		p.yielded = p.loop.now
	} else {
		p.loop.setNow(time.Now())
		p.yield()
	}
	if int(n) > 0 { // -1 is an interrupted call
		p.loop.asleep.Store(false) // awake already: spare the eventfd
		p.dispatch(p.events[:n])
	}
	p.free = append(p.free, p.freed...)
	p.freed = p.freed[:0]
}

func (p *epoll) pollNow() { p.wait(0) }

// yield lets the goroutines of this core run when the loop has not slept for a while: raw
// system calls look like work to the scheduler.
func (p *epoll) yield() {
	if p.loop.now.Sub(p.yielded) > yieldAfter {
		runtime.Gosched()
		p.yielded = p.loop.now
	}
}

func (p *epoll) dispatch(events []unix.EpollEvent) {
	for i := range events {
		switch slot := events[i].Fd; {
		case slot >= 0:
			if s := p.socks[slot]; s != nil {
				s.ready(events[i].Events)
			}
		case slot == wakeSlot:
			var b [8]byte
			unix.Read(p.wakeFD, b[:])
		default:
			p.accept(int(wakeSlot - 1 - slot))
		}
	}
}

func (p *epoll) control(op, fd int, slot int32, events uint32) error {
	e := unix.EpollEvent{Events: events, Fd: slot}
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.fd), uintptr(op),
		uintptr(fd), uintptr(unsafe.Pointer(&e)), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

// add makes fd a socket of this loop, and owns it from here on. The caller has counted it
// in loop.conns.
func (p *epoll) add(fd int, accept Acceptor, peer netip.AddrPort) {
	if p.loop.stopping { // posted by another loop while this one was ending
		p.loop.conns.Add(-1)
		unix.Close(fd)
		return
	}
	s := &sock{poll: p, fd: int32(fd), interest: unix.EPOLLIN}
	if n := len(p.free); n > 0 {
		s.slot, p.free = p.free[n-1], p.free[:n-1]
	} else {
		s.slot = uint32(len(p.socks))
		p.socks = append(p.socks, nil)
	}
	p.socks[s.slot] = s
	if err := p.control(unix.EPOLL_CTL_ADD, fd, int32(s.slot), s.interest); err != nil {
		p.loop.logger.Warn("socket refused by epoll", "event", "loop.add", "err", err)
		s.Close()
		return
	}
	defer s.poll.loop.recoverPanic(s.fail)
	accept(s, peer)
	if s.handler == nil {
		s.Close()
	}
}

func (p *epoll) closeAll(reason error) {
	for _, s := range p.socks {
		if s != nil {
			s.fail(reason)
		}
	}
}
