package poll

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// pumpRead is a pump's read buffer: the price of an idle connection here.
	pumpRead = 4 << 10
	// pumpWrite is how many bytes may wait for the writer, beside those that
	// it is writing. A full buffer makes Write take less.
	pumpWrite = 64 << 10
	// pumpFlush bounds how long Close waits for a peer that does not read.
	pumpFlush = 2 * time.Second
)

// pump is the portable transport. One goroutine reads, posts what it read to the loop, and
// waits until that was handled before it reads on: at most one read of each pump is in the
// mailbox. Another goroutine writes; it exists only while bytes wait.
type pump struct {
	// Static.
	loop        *Loop
	nc          net.Conn
	buf         []byte        // the reader's until it posts, then the loop's until readNext
	readNext    chan struct{} // from the loop to the reader, capacity 1; closed by the loop
	deliverRead func()        // deliver, made once

	// Owned by the reader until it posts, then by the loop.
	n   int
	err error

	// Owned by the loop.
	handler  Handler
	closed   bool
	paused   bool
	readHeld bool // a read waits for ResumeReads

	mu             sync.Mutex // guards the following
	out, spare     []byte
	writing        bool  // the writer runs
	notifyWritable bool  // Write did not accept everything: call Writable when there is space
	writeEnding    bool  // CloseWrite after what waits
	ending         bool  // Close after what waits
	failed         error // of the writer
}

func (l *Loop) attachPump(nc net.Conn, accept Acceptor) error {
	l.conns.Add(1)
	p := &pump{loop: l, nc: nc, buf: make([]byte, pumpRead), readNext: make(chan struct{}, 1)}
	p.deliverRead = p.deliver
	if !l.Post(func() { p.start(accept) }) {
		l.conns.Add(-1)
		return ErrStopped
	}
	return nil
}

func (p *pump) start(accept Acceptor) {
	if p.loop.stopping {
		p.loop.conns.Add(-1)
		p.nc.Close()
		return
	}
	p.loop.pumps[p] = struct{}{}
	p.loop.group.wg.Go(p.read)
	defer p.loop.recoverPanic(p.fail)
	accept(p, p.RemoteAddr())
	if p.handler == nil {
		p.Close()
	}
}

// read is the reader's goroutine.
func (p *pump) read() {
	for {
		p.n, p.err = p.nc.Read(p.buf)
		failed := p.err != nil
		if !p.loop.Post(p.deliverRead) || failed {
			return
		}
		if _, on := <-p.readNext; !on {
			return
		}
	}
}

// deliver passes what the reader has read to the handler.
func (p *pump) deliver() {
	if p.closed {
		return
	}
	if p.paused {
		p.readHeld = true
		return
	}
	defer p.loop.recoverPanic(p.fail)
	if p.n > 0 {
		n := p.n
		p.n = 0
		p.handler.Readable(p.buf[:n])
	}
	switch {
	case p.closed:
	case p.err != nil:
		if p.paused { // by this very call: the end of the stream waits like bytes
			p.readHeld = true
			return
		}
		p.fail(p.err)
	default:
		p.readNext <- struct{}{}
	}
}

func (p *pump) Write(b []byte) (int, error) {
	if p.closed {
		return 0, errGone
	}
	if len(b) == 0 {
		return 0, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		return 0, p.failed
	}
	n := min(len(b), pumpWrite-len(p.out))
	p.out = append(p.out, b[:n]...)
	p.notifyWritable = n < len(b)
	p.startWriter()
	return n, nil
}

// startWriter is called with mu held.
func (p *pump) startWriter() {
	if !p.writing {
		p.writing = true
		p.loop.group.wg.Go(p.write)
	}
}

// write is the writer's goroutine: it ends when nothing waits.
func (p *pump) write() {
	for p.writeOnce() {
	}
}

func (p *pump) writeOnce() bool {
	p.mu.Lock()
	b := p.out
	if len(b) == 0 || p.failed != nil {
		defer p.mu.Unlock()
		return p.finishWriting()
	}
	p.out, p.spare = p.spare[:0], nil
	notify := p.notifyWritable
	p.notifyWritable = false
	p.mu.Unlock()
	_, err := p.nc.Write(b)
	p.mu.Lock()
	p.failed, p.spare = err, b[:0]
	notify = notify && err == nil
	p.mu.Unlock()
	switch {
	case err != nil:
		p.loop.Post(func() { p.fail(err) })
	case notify:
		p.loop.Post(p.writable)
	}
	return true
}

// finishWriting does what had to wait for the last byte. It is called with mu held.
func (p *pump) finishWriting() bool {
	p.writing = false
	p.out, p.spare = nil, nil // an idle connection has no write buffer
	if p.ending {
		p.nc.Close()
	} else if p.writeEnding {
		if c, ok := p.nc.(interface{ CloseWrite() error }); ok {
			c.CloseWrite() // on an error the peer is gone, which the reader reports
		}
	}
	return false
}

func (p *pump) writable() {
	if !p.closed {
		defer p.loop.recoverPanic(p.fail)
		p.handler.Writable()
	}
}

func (p *pump) fail(reason error) {
	if p.closed {
		return
	}
	h := p.handler
	p.Close()
	if h != nil {
		h.Closed(reason)
	}
}

// release removes the connection from the loop without closing it.
func (p *pump) release() {
	p.closed = true
	p.handler = nil
	delete(p.loop.pumps, p)
	p.loop.conns.Add(-1)
	close(p.readNext)
}

func (p *pump) Close() {
	if p.closed {
		return
	}
	p.release()
	p.nc.SetDeadline(time.Now().Add(pumpFlush)) // ends the reader too
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ending = true
	p.startWriter() // closing may block (TLS sends an alert), so not on the loop
}

func (p *pump) Abort() {
	if p.closed {
		return
	}
	p.release()
	nc := p.nc
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok { // TLS would send an alert first
		nc = t.NetConn()
	}
	if c, ok := nc.(interface{ SetLinger(int) error }); ok {
		c.SetLinger(0)
	}
	nc.Close()
}

func (p *pump) CloseWrite() {
	if p.closed {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeEnding = true
	p.startWriter()
}

func (p *pump) PauseReads() { p.paused = true }

func (p *pump) ResumeReads() {
	p.paused = false
	if p.readHeld && !p.closed {
		p.readHeld = false
		p.loop.Post(p.deliverRead)
	}
}

func (p *pump) SetHandler(h Handler) { p.handler = h }
func (p *pump) Loop() *Loop          { return p.loop }

func (p *pump) RemoteAddr() netip.AddrPort {
	a, err := netip.ParseAddrPort(p.nc.RemoteAddr().String())
	if err != nil { // net.Pipe and the like
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// Detach ends the reader, which waits for readNext, and returns the connection.
func (p *pump) Detach() (net.Conn, error) {
	if p.closed || p.writePending() || p.err != nil {
		return nil, ErrDetach
	}
	p.release()
	return p.nc, nil
}

// writePending reports whether the system has not accepted all written bytes.
func (p *pump) writePending() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.writing || len(p.out) > 0
}
