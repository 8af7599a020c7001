package crowd

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/confab-chat/confab/tools/chatload/internal/dialect"
	"github.com/confab-chat/confab/tools/chatload/internal/wsframe"
)

const (
	eventsPerPoll = 1024
	readBuffer    = 256 << 10
)

// Crowd is the set. Everything belongs to the goroutine that made it.
type Crowd struct {
	Stats Stats

	options Options
	traits  dialect.Traits
	epoll   int
	conns   []*Conn // by slot, which the kernel gives back; nil: free
	free    []int32 // slots
	freed   []int32 // during this Poll: events of it may still name them
	dialed  int32
	spare   []Conn // allocated, not handed out
	events  []unix.EpollEvent
	buf     []byte
	plain   []byte // scratch, as the next
	frame   []byte
	shakers shakers
}

// New returns an empty crowd.
func New(o Options) (*Crowd, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if o.PerSource == 0 {
		o.PerSource = 4_000
	}
	w := &Crowd{
		options: o, traits: o.Dialect.Traits(), epoll: fd,
		events: make([]unix.EpollEvent, eventsPerPoll), buf: make([]byte, readBuffer),
	}
	if o.TLS != nil {
		if err := w.shakers.allow(fd); err != nil {
			unix.Close(fd)
			return nil, err
		}
	}
	return w, nil
}

func (w *Crowd) control(op int, c *Conn, events uint32) error {
	e := unix.EpollEvent{Events: events, Fd: c.slot}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(w.epoll, op, int(c.fd), &e))
}

// Poll handles what is ready, after waiting for it for at most d. It is precise to
// some microseconds, which an open loop needs.
func (w *Crowd) Poll(d time.Duration) {
	n := w.poll(min(max(d, 0), wait))
	for i := range w.events[:n] {
		if w.events[i].Fd == wakeSlot {
			w.secured()
			continue
		}
		c, events := w.conns[w.events[i].Fd], w.events[i].Events
		if c == nil {
			continue // ended earlier in this loop
		}
		if events&unix.EPOLLOUT != 0 {
			c.writable()
		}
		if c.state != gone && events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			c.readable()
		}
	}
	w.free = append(w.free, w.freed...)
	w.freed = w.freed[:0]
}

func (w *Crowd) poll(d time.Duration) int {
	events, limit := unsafe.Pointer(unsafe.SliceData(w.events)), unix.NsecToTimespec(int64(d))
	call := syscall.Syscall6
	if d == 0 {
		call = syscall.RawSyscall6
	}
	n, _, errno := call(unix.SYS_EPOLL_PWAIT2, uintptr(w.epoll), uintptr(events), eventsPerPoll, uintptr(unsafe.Pointer(&limit)), 0, 0)
	switch errno {
	case 0:
		return int(n)
	case unix.ENOSYS: // a kernel before 5.11
		n, err := unix.EpollWait(w.epoll, w.events, int((d+time.Millisecond-1)/time.Millisecond))
		if err == nil {
			return n
		}
	}
	return 0 // interrupted
}

// Close ends all connections at once.
func (w *Crowd) Close() {
	for _, c := range w.conns {
		if c != nil && c.state != gone {
			w.forget(c)
		}
	}
	w.drained()
	unix.Close(w.epoll)
	if w.options.TLS != nil {
		unix.Close(w.shakers.wake)
	}
}

// forget ends c, at once or as soon as its handshake's goroutine lets go of it.
func (w *Crowd) forget(c *Conn) {
	shaking := c.state == securing
	c.state, c.partial, c.out, c.tls = gone, nil, nil, nil
	if shaking {
		_ = unix.Shutdown(int(c.fd), unix.SHUT_RDWR) // that ends the handshake
		return
	}
	w.release(c)
}

// release closes the descriptor and frees the slot.
func (w *Crowd) release(c *Conn) {
	unix.Close(int(c.fd))
	w.conns[c.slot] = nil
	w.freed = append(w.freed, c.slot)
}

// lose ends c, for which why is the reason.
func (w *Crowd) lose(c *Conn, why error) {
	if c.state == gone {
		return
	}
	w.count(c)
	w.Stats.Lost++
	if w.Stats.FirstError == nil {
		w.Stats.FirstError = fmt.Errorf("connection %d: %w", c.Number, why)
	}
	w.forget(c)
	if w.options.Closed != nil {
		w.options.Closed(c, why)
	}
}

// count takes c out of where it was counted.
func (w *Crowd) count(c *Conn) {
	if c.state == open {
		w.Stats.Open--
	} else {
		w.Stats.Pending--
	}
}

// Text sends one text frame. What the socket does not take waits in memory.
func (c *Conn) Text(payload []byte) {
	w := c.crowd
	w.frame = wsframe.Append(w.frame[:0], wsframe.Text, payload)
	c.write(w.frame)
}

// Deafen makes c a client that never reads any more.
func (c *Conn) Deafen() {
	c.deaf = true
	c.interest()
}

// HangUp ends c without a word, as a lost network does. Closed is not called.
func (c *Conn) HangUp() {
	if c.state == gone {
		return
	}
	c.crowd.count(c)
	c.crowd.forget(c)
}

// Leave ends c as a browser's closed tab does: with a close frame.
func (c *Conn) Leave() {
	if c.state == gone {
		return
	}
	c.write(wsframe.Append(nil, wsframe.Close, []byte{1000 >> 8, 1000 & 255}))
	c.HangUp()
}
