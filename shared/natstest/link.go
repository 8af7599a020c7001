package natstest

import (
	"net"
	"sync"
	"time"
)

const (
	// readBytes is one read. queuedBytes wait in each direction, about what socket buffers
	// hold. When they are full, the writer blocks, as on a network.
	readBytes   = 32 << 10
	queuedBytes = 2 << 20
)

// link is one connection through a gate: a reader and a writer for each direction.
type link struct {
	// Static after construction.
	gate     *Gate
	inner    net.Conn // our end of the client's pipe
	far      net.Conn // the server
	done     chan struct{}
	up, down *queue

	once sync.Once // closes all
}

func newLink(g *Gate, inner, far net.Conn) *link {
	return &link{gate: g, inner: inner, far: far, done: make(chan struct{}), up: newQueue(), down: newQueue()}
}

// run returns when both directions and all goroutines of the link have ended.
func (l *link) run() {
	var wg sync.WaitGroup
	wg.Go(func() { l.read(l.inner, l.up) })
	wg.Go(func() { l.read(l.far, l.down) })
	wg.Go(func() { l.write(l.far, l.up, Up) })
	wg.Go(func() { l.write(l.inner, l.down, Down) })
	wg.Wait()
}

func (l *link) close() {
	l.once.Do(func() {
		close(l.done)
		l.up.drop()
		l.down.drop()
		_ = l.inner.Close()
		_ = l.far.Close()
	})
}

// read ends the queue at the end of src, so that the end does not overtake queued bytes.
func (l *link) read(src net.Conn, out *queue) {
	defer out.end()
	buf := make([]byte, readBytes)
	for {
		n, err := src.Read(buf)
		if n > 0 && !out.add(chunk{data: append([]byte(nil), buf[:n]...), at: l.gate.deadline()}) || err != nil {
			return
		}
	}
}

func (l *link) write(dst net.Conn, in *queue, d Direction) {
	defer l.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		c, ok := in.next()
		if !ok {
			// A blackhole also holds back the end of the source.
			l.gate.pass(d, l.done)
			return
		}
		if wait := time.Until(c.at); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-l.done:
				return
			}
		}
		if !l.gate.pass(d, l.done) {
			return
		}
		if _, err := dst.Write(c.data); err != nil {
			return
		}
	}
}

// chunk is a queued piece of a connection's bytes.
type chunk struct {
	data []byte
	at   time.Time // not before
}

// queue holds the bytes of one direction. Its methods may be called concurrently.
type queue struct {
	mu      sync.Mutex // guards the following
	changed *sync.Cond
	chunks  []chunk
	bytes   int
	ended   bool // nothing is added any more
	dropped bool // nothing is taken any more
}

func newQueue() *queue {
	q := &queue{}
	q.changed = sync.NewCond(&q.mu)
	return q
}

// add waits until there is space. It returns false when the queue was dropped.
func (q *queue) add(c chunk) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.bytes >= queuedBytes && !q.dropped {
		q.changed.Wait()
	}
	q.chunks = append(q.chunks, c)
	q.bytes += len(c.data)
	q.changed.Broadcast()
	return !q.dropped
}

// next removes the oldest chunk, and waits for one. It returns false when the queue was
// dropped, or has ended and is empty.
func (q *queue) next() (chunk, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.chunks) == 0 && !q.ended && !q.dropped {
		q.changed.Wait()
	}
	if q.dropped || len(q.chunks) == 0 {
		return chunk{}, false
	}
	c := q.chunks[0]
	q.chunks = q.chunks[1:]
	q.bytes -= len(c.data)
	q.changed.Broadcast()
	return c, true
}

func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.changed.Broadcast()
}

func (q *queue) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped = true
	q.changed.Broadcast()
}
