package poll

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// pumpListener accepts in a goroutine.
type pumpListener struct {
	group  *Group
	ln     net.Listener
	accept Acceptor
	quit   chan struct{} // closed by Close, once
	once   sync.Once
}

func (g *Group) listenPump(ln net.Listener, accept Acceptor) io.Closer {
	p := &pumpListener{group: g, ln: ln, accept: accept, quit: make(chan struct{})}
	g.wg.Go(p.run)
	return p
}

func (p *pumpListener) Close() error {
	var err error
	p.once.Do(func() {
		close(p.quit)
		err = p.ln.Close()
	})
	return err
}

// run backs off when the process is out of descriptors, instead of spinning.
func (p *pumpListener) run() {
	const first, last = 5 * time.Millisecond, time.Second
	delay := first
	for {
		nc, err := p.ln.Accept()
		switch {
		case err == nil:
			delay = first
			p.add(nc)
			continue
		case errors.Is(err, net.ErrClosed):
			return
		}
		p.group.options.Logger.Warn("accepting paused", "event", "loop.starved", "err", err)
		select {
		case <-p.quit:
			return
		case <-time.After(delay):
			delay = min(2*delay, last)
		}
	}
}

func (p *pumpListener) add(nc net.Conn) {
	if c, ok := nc.(interface{ SetWriteBuffer(int) error }); ok && p.group.options.SendBuffer > 0 {
		c.SetWriteBuffer(p.group.options.SendBuffer) // best effort: the system's default works too
	}
	if err := p.group.leastLoaded().attachPump(nc, p.accept); err != nil {
		nc.Close()
	}
}
