package listen

import (
	"net/netip"

	"github.com/confab-chat/confab/services/edge/internal/listen/head"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

// pending is a connection that has not finished its request head.
type pending struct {
	local *local
	t     poll.Transport
	timer poll.Timer
	peer  netip.AddrPort
	buf   []byte // bytes received, when the head did not arrive at once
	scan  head.Scanner
	// returned marks a connection that net/http has returned: it is not handed over
	// again.
	returned bool
}

// accept is the acceptor of the public listener.
func (s *Server) accept(t poll.Transport, peer netip.AddrPort) { s.startHandshake(t, peer) }

// startHandshake waits for a request head on t; it returns nil when t was refused.
func (s *Server) startHandshake(t poll.Transport, peer netip.AddrPort) *pending {
	l := s.locals[t.Loop().Index()]
	s.stats.Accepted.Add(1)
	if s.pending.Add(1) > int64(s.options.Pending) {
		s.pending.Add(-1)
		l.sendRefusal(t, refused(Overload))
		return nil
	}
	if !s.ips.addPending(peer.Addr()) {
		s.pending.Add(-1)
		l.sendRefusal(t, refused(AddressPending))
		return nil
	}
	p := &pending{local: l, t: t, peer: peer}
	p.timer.Owner = p
	t.SetHandler(p)
	l.loop.Arm(&p.timer, l.loop.Tick()+l.loop.Ticks(s.options.HandshakeTimeout))
	return p
}

// Readable implements poll.Handler.
func (p *pending) Readable(b []byte) {
	if p.buf != nil {
		p.buf = append(p.buf, b...)
		b = p.buf
	}
	end, err := p.scan.Scan(b)
	switch {
	case err != nil:
		p.refuse(headRefusal(err))
	case end > 0:
		p.decide(b, end)
	case p.buf == nil:
		p.buf = append(p.local.buffer(), b...)
	}
}

// Writable implements poll.Handler. A handshake has written nothing yet.
func (p *pending) Writable() {}

// Closed implements poll.Handler.
func (p *pending) Closed(error) { p.endHandshake() }

// Expire implements poll.Expirer: the time from accept to a whole head is over, even
// if the peer is still sending.
func (p *pending) Expire() {
	p.local.server.stats.Refused[Timeout].Add(1)
	p.t.Close()
	p.endHandshake()
}

// endHandshake releases what the handshake holds, whatever its outcome.
func (p *pending) endHandshake() {
	p.local.loop.Disarm(&p.timer)
	p.local.server.pending.Add(-1)
	p.local.server.ips.removePending(p.peer.Addr())
	if p.buf != nil {
		p.local.releaseBuffer(p.buf)
		p.buf = nil
	}
}

func (l *local) buffer() []byte {
	if n := len(l.free); n > 0 {
		b := l.free[n-1]
		l.free = l.free[:n-1]
		return b
	}
	return make([]byte, 0, 2048)
}

func (l *local) releaseBuffer(b []byte) {
	if len(l.free) < keptBuffers && cap(b) <= head.MaxBytes {
		l.free = append(l.free, b[:0])
	}
}
