package natstest

import (
	"net"
	"sync"
	"time"
)

const (
	// chunkBytes is one read; queuedChunks of them wait in each direction, about
	// what socket buffers hold. When full, the writer blocks, as on a network.
	chunkBytes   = 32 << 10
	queuedChunks = 64
)

// link is one connection through a gate: a reader and a writer for each direction.
type link struct {
	// Static after construction.
	gate  *Gate
	inner net.Conn // our end of the client's pipe
	far   net.Conn // the server
	done  chan struct{}

	once sync.Once // closes all three
}

// chunk is a queued piece of a connection's bytes.
type chunk struct {
	data []byte
	at   time.Time // not before
}

// run returns when both directions and all goroutines of the link have ended.
func (l *link) run() {
	var wg sync.WaitGroup
	up, down := make(chan chunk, queuedChunks), make(chan chunk, queuedChunks)
	wg.Go(func() { l.read(l.inner, up) })
	wg.Go(func() { l.read(l.far, down) })
	wg.Go(func() { l.write(l.far, up, Up) })
	wg.Go(func() { l.write(l.inner, down, Down) })
	wg.Wait()
}

func (l *link) close() {
	l.once.Do(func() {
		close(l.done)
		_ = l.inner.Close()
		_ = l.far.Close()
	})
}

// read is the sole sender on out. It closes out at the end of src, so that the end does not
// overtake queued bytes.
func (l *link) read(src net.Conn, out chan<- chunk) {
	defer close(out)
	buf := make([]byte, chunkBytes)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			c := chunk{data: append([]byte(nil), buf[:n]...), at: l.gate.deadline()}
			select {
			case out <- c:
			case <-l.done:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (l *link) write(dst net.Conn, in <-chan chunk, d Direction) {
	defer l.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for c := range in {
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
	// A blackhole also holds back the end of the source.
	l.gate.pass(d, l.done)
}
