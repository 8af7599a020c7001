//go:build linux

// Package clients drives many WebSocket clients from one goroutine: one epoll set, one
// read buffer, and a small struct for each connection. A goroutine opens each connection,
// up to the WebSocket upgrade, and then hands its descriptor to the loop. Reading a frame
// neither copies nor allocates, so that one core of clients keeps one core of a server busy.
package clients

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/confab-chat/confab/tools/bench/internal/dialect"
)

const (
	// maxPollWait bounds one Poll, so that callers can look at the clock.
	maxPollWait   = 100 * time.Millisecond
	eventsPerPoll = 1024
	readBuffer    = 256 << 10
)

// ErrHungUp is why a connection ended that the server closed.
var ErrHungUp = errors.New("the server hung up")

// Options configure a Loop. Callbacks may be nil.
type Options struct {
	Dialect dialect.Dialect
	// Token returns the token of a connection by its number. It must be safe for
	// concurrent use. Nil: connections have no token.
	Token func(number int) string
	// TLS is for servers that require it; nil: plain TCP. Without a ServerName the
	// certificate must be for the target's address.
	TLS *tls.Config
	// FirstSource numbers the first source address on loopback, so that several
	// generators do not share the ports of one.
	FirstSource int

	// Poll calls Opened, Message and Closed; Send may call Closed, too. Message is not
	// called for what the loop answers itself. at is stamp.Now as of the read; m.Body is
	// valid until Message returns. Closed is not called after Abort.
	Opened  func(c *Conn)
	Message func(c *Conn, m dialect.Message, at int64)
	Closed  func(c *Conn, err error)
}

// Stats are counts since New.
type Stats struct {
	Pending, Open, Lost int // connections; Lost includes those that were refused
	Reads, Frames       uint64
	FirstError          error // of the first connection that was lost
}

// Loop is a set of clients. All its methods, and those of its connections, must be called
// from one goroutine.
type Loop struct {
	Stats Stats // read-only for callers

	// Static.
	options Options
	traits  dialect.Traits
	epoll   int
	wake    int // eventfd: opened has a connection

	// Owned by the caller's goroutine.
	conns  []*Conn // by descriptor; nil: not one of ours
	dialed int32
	events []unix.EpollEvent
	buf    []byte // of reads
	plain  []byte // of decrypted records
	header []byte // of the frame that is read
	frame  bytes.Buffer
	reader bytes.Reader

	// Shared with the goroutines that open connections.
	ctx     context.Context
	cancel  context.CancelFunc
	opening sync.WaitGroup
	opened  chan opened
}

// New returns a loop without connections. Close releases it.
func New(o Options) (*Loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(epoll)
		return nil, os.NewSyscallError("eventfd", err)
	}
	l := &Loop{
		options: o, traits: o.Dialect.Traits(), epoll: epoll, wake: wake,
		events: make([]unix.EpollEvent, eventsPerPoll), buf: make([]byte, readBuffer),
		header: make([]byte, ws.MaxHeaderSize), opened: make(chan opened, 64),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	if err := l.control(unix.EPOLL_CTL_ADD, wake, unix.EPOLLIN); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (l *Loop) control(op, fd int, events uint32) error {
	e := unix.EpollEvent{Events: events, Fd: int32(fd)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.epoll, op, fd, &e))
}

// Poll waits for at most d until something is ready, and handles it. It is precise to
// some microseconds, which an open loop needs.
func (l *Loop) Poll(d time.Duration) {
	for _, e := range l.events[:l.wait(min(max(d, 0), maxPollWait))] {
		if int(e.Fd) == l.wake {
			l.adoptOpened()
			continue
		}
		// A descriptor that was closed and reused during this Poll gets the events of
		// its predecessor; its read then finds nothing, which does no harm.
		c := l.conns[e.Fd]
		if c == nil {
			continue
		}
		if e.Events&unix.EPOLLOUT != 0 {
			c.flush()
		}
		if c.state != closed && e.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			c.read()
		}
	}
}

// wait returns the number of l.events that are ready.
func (l *Loop) wait(d time.Duration) int {
	events, limit := unsafe.Pointer(unsafe.SliceData(l.events)), unix.NsecToTimespec(int64(d))
	call := syscall.Syscall6
	if d == 0 {
		call = syscall.RawSyscall6
	}
	n, _, errno := call(unix.SYS_EPOLL_PWAIT2, uintptr(l.epoll), uintptr(events), eventsPerPoll, uintptr(unsafe.Pointer(&limit)), 0, 0)
	switch errno {
	case 0:
		return int(n)
	case unix.ENOSYS: // a kernel before 5.11
		n, err := unix.EpollWait(l.epoll, l.events, int((d+time.Millisecond-1)/time.Millisecond))
		if err == nil {
			return n
		}
	}
	return 0 // interrupted
}

// adoptOpened handles the connections whose goroutines have finished.
func (l *Loop) adoptOpened() {
	var count [8]byte
	_, _ = unix.Read(l.wake, count[:]) // EAGAIN: an earlier call has handled this one
	for {
		select {
		case o := <-l.opened:
			l.adopt(o)
		default:
			return
		}
	}
}

// finish hands the outcome of an opening goroutine to the loop.
func (l *Loop) finish(o opened) {
	l.opened <- o
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(l.wake, one[:]) // EAGAIN: the loop will wake anyway
}

// Close ends all connections at once and waits for those that are being opened.
func (l *Loop) Close() {
	l.cancel()
	go func() {
		l.opening.Wait()
		close(l.opened)
	}()
	for o := range l.opened {
		if o.err == nil {
			unix.Close(o.fd)
		}
	}
	for _, c := range l.conns {
		if c != nil {
			l.release(c)
		}
	}
	unix.Close(l.epoll)
	unix.Close(l.wake)
}

// lose ends c because of err.
func (l *Loop) lose(c *Conn, err error) {
	if c.state == closed {
		return
	}
	l.Stats.Lost++
	if l.Stats.FirstError == nil {
		l.Stats.FirstError = fmt.Errorf("connection %d: %w", c.Number, err)
	}
	l.release(c)
	if l.options.Closed != nil {
		l.options.Closed(c, err)
	}
}

// release closes c's descriptor, if it has one already, and forgets c.
func (l *Loop) release(c *Conn) {
	if c.state == open {
		l.Stats.Open--
	} else {
		l.Stats.Pending--
	}
	c.state, c.partial, c.unsent, c.tls = closed, nil, nil, nil
	if c.fd >= 0 {
		l.conns[c.fd] = nil
		unix.Close(c.fd)
	}
}
