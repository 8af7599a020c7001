package listen

import (
	"bytes"
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
		p.buf = bytes.Clone(b)
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
	p.buf = nil
}
