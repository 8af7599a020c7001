package listen

import (
	"net/netip"

	"github.com/confab-chat/confab/services/edge/internal/listen/head"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

// pending is a connection that has not finished its request head.
type pending struct {
	door  *door
	t     poll.Transport
	timer poll.Timer
	peer  netip.AddrPort
	buf   []byte // what came, when the head did not come at once
	scan  head.Scanner
	back  bool // net/http has had it: it does not get it again
}

// accept is the acceptor of the public listener.
func (s *Server) accept(t poll.Transport, peer netip.AddrPort) { s.begin(t, peer) }

// begin waits for a request head on t; it returns nil when t was refused.
func (s *Server) begin(t poll.Transport, peer netip.AddrPort) *pending {
	d := s.doors[t.Loop().Index()]
	s.stats.Accepted.Add(1)
	if s.pending.Add(1) > int64(s.options.Pending) {
		s.pending.Add(-1)
		d.turnAway(t, refused(Overload))
		return nil
	}
	if !s.ips.begin(peer.Addr()) {
		s.pending.Add(-1)
		d.turnAway(t, refused(AddressPending))
		return nil
	}
	p := &pending{door: d, t: t, peer: peer}
	p.timer.Owner = p
	t.SetHandler(p)
	d.loop.Arm(&p.timer, d.loop.Tick()+d.loop.Ticks(s.options.HandshakeTimeout))
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
		p.buf = append(p.door.buffer(), b...)
	}
}

// Writable implements poll.Handler; nothing was written yet.
func (p *pending) Writable() {}

// Closed implements poll.Handler.
func (p *pending) Closed(error) { p.finish() }

// Expire implements poll.Expirer: the time from accept to a whole head is over,
// however busily the peer sends.
func (p *pending) Expire() {
	p.door.server.stats.Refused[Timeout].Add(1)
	p.t.Close()
	p.finish()
}

// finish ends the handshake, whatever came of it.
func (p *pending) finish() {
	p.door.loop.Disarm(&p.timer)
	p.door.server.pending.Add(-1)
	p.door.server.ips.end(p.peer.Addr())
	if p.buf != nil {
		p.door.giveBack(p.buf)
		p.buf = nil
	}
}

func (d *door) buffer() []byte {
	if n := len(d.free); n > 0 {
		b := d.free[n-1]
		d.free = d.free[:n-1]
		return b
	}
	return make([]byte, 0, 2048)
}

func (d *door) giveBack(b []byte) {
	if len(d.free) < keptBuffers && cap(b) <= head.MaxBytes {
		d.free = append(d.free, b[:0])
	}
}
