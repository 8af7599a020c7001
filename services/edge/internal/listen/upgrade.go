package listen

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/netip"
	"time"

	gobwas "github.com/gobwas/ws"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/listen/head"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

// decide answers a whole head, which is b[:end].
func (p *pending) decide(b []byte, end int) {
	r, err := head.Parse(b[:end])
	if err != nil {
		p.refuse(headRefusal(err))
		return
	}
	s := p.door.server
	i, known := s.routes[string(r.Path)]
	if !known && p.back { // they see another path in it than we do
		p.refuse(refused(BadRequest))
		return
	}
	if !known || !s.options.Routes[i].Only && !r.WebSocket {
		p.handOff(b)
		return
	}
	if home := s.options.Routes[i].Home; home != nil && r.WebSocket {
		if l := home(string(r.Query)); l != nil && l != p.door.loop {
			p.move(l, b)
			return
		}
	}
	if no := s.check(&r, p.door.loop.Now()); no != nil {
		p.refuse(no)
		return
	}
	if !s.ips.open(p.peer.Addr()) {
		p.refuse(refused(AddressConnections))
		return
	}
	opened := false
	defer func() {
		if !opened { // also when the gate panicked
			s.ips.close(p.peer.Addr())
		}
	}()
	opened = p.welcome(i, &r, b, end)
}

// check applies what does not depend on the route or the user: first what costs
// nothing, so that a storm is refused before tokens are verified.
func (s *Server) check(r *head.Request, now time.Time) *refusal {
	switch {
	case s.draining.Load():
		return refused(Draining)
	case r.Method != "GET":
		return refused(Method)
	case r.Major != 1 || r.Minor < 1:
		return refused(HTTPVersion)
	case !r.WebSocket:
		return refused(NoUpgrade)
	case !r.Upgrade || r.Body || r.Hosts != 1 || r.Origins > 1 || r.Authorizations > 1:
		return refused(BadRequest)
	case string(r.Version) != "13":
		return refused(Version)
	case r.Keys != 1 || !validKey(r.Key):
		return refused(BadRequest)
	case r.Origins == 1 && !s.options.Origins.Allow(string(r.Origin)):
		return refused(Origin)
	case s.full():
		return refused(Overload)
	case !s.bucket.take(now):
		return refused(Rate)
	}
	return nil
}

// validKey: 16 bytes in base64 (RFC 6455, section 4.1).
func validKey(key []byte) bool {
	var b [18]byte
	if len(key) != 24 {
		return false
	}
	n, err := base64.StdEncoding.Decode(b[:], key)
	return err == nil && n == 16
}

// welcome authenticates, asks the gate, and opens the connection. It returns
// false when there is none.
func (p *pending) welcome(i int, r *head.Request, b []byte, end int) bool {
	s := p.door.server
	route := &s.options.Routes[i]
	h := &p.door.handshake
	*h = Handshake{
		Loop: p.door.loop, Path: route.Path, Query: string(r.Query), Origin: string(r.Origin),
		Token: token(r, s.options.AllowQueryToken), Remote: p.peer,
	}
	if offers(r, route.Subprotocol) {
		h.Subprotocol = route.Subprotocol
	}
	// Before the gate is asked: a handler that it has made is always opened.
	answer, err := answerUpgrade(b[:end], h.Subprotocol)
	if err != nil { // the library is stricter than we are
		p.refuse(refused(BadRequest))
		return false
	}
	handler, no := s.admit(route, h)
	if no != nil && !no.inBand(h) {
		p.refuse(no)
		return false
	}
	if no != nil {
		// A browser cannot see an HTTP status here, but it sees close codes.
		s.stats.Refused[no.reason].Add(1)
		handler = farewell{code: no.close}
	}
	if s.ips != nil {
		handler = counted{handler, func() { s.ips.close(p.peer.Addr()) }}
	}
	s.stats.Upgraded.Add(1)
	p.door.sets[i].Open(p.t, handler, answer, b[end:])
	p.finish()
	return true
}

// admit asks everybody who may say no.
func (s *Server) admit(route *Route, h *Handshake) (conn.Handler, *refusal) {
	if route.Verifier != nil {
		if h.Token == "" {
			return nil, refused(NoToken)
		}
		id, err := route.Verifier.Verify(h.Token)
		if err != nil {
			return nil, because(code.From(err))
		}
		h.Identity = id
	}
	handler, err := route.Gate(h)
	if own, ok := errors.AsType[*Answer](err); ok {
		return nil, &refusal{reason: Gated, status: own.Status, own: own.Body}
	}
	if err != nil {
		return nil, because(code.From(err))
	}
	return handler, nil
}

// move gives the connection to the loop where it must live, with its request.
func (p *pending) move(l *poll.Loop, b []byte) {
	s := p.door.server
	request := append([]byte(nil), b...)
	nc, err := p.t.Detach()
	if err != nil {
		p.refuse(refused(Overload)) // out of descriptors
		return
	}
	p.finish()
	err = l.Attach(nc, func(t poll.Transport, peer netip.AddrPort) {
		if p := s.begin(t, peer); p != nil {
			p.Readable(request)
		}
	})
	if err != nil {
		s.options.Logger.Debug("connection lost between two loops", "event", "listen.move", "err", err)
	}
}

// Enter is asked by doors that are no WebSockets before they begin a session for a
// peer: what holds for upgrades holds for them. leave is called at its end.
func (s *Server) Enter(peer netip.Addr) (leave func(), no *code.Error) {
	turnedAway := func(r Reason) (func(), *code.Error) {
		s.stats.Refused[r].Add(1)
		e := refused(r).err
		return nil, &e
	}
	switch {
	case s.draining.Load():
		return turnedAway(Draining)
	case s.full():
		return turnedAway(Overload)
	case !s.bucket.take(time.Now()):
		return turnedAway(Rate)
	case !s.ips.open(peer):
		return turnedAway(AddressConnections)
	}
	return func() { s.ips.close(peer) }, nil
}

// answerUpgrade is the library's handshake over bytes that are all there: it
// can wait for nothing and read nothing beyond them. The result is 101, or an
// error after the library had an objection.
func answerUpgrade(request []byte, protocol string) ([]byte, error) {
	rw := &memory{in: request}
	u := gobwas.Upgrader{Protocol: func(p []byte) bool { return protocol != "" && string(p) == protocol }}
	if _, err := u.Upgrade(rw); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(rw.out, []byte("HTTP/1.1 101 ")) {
		return nil, errNoUpgrade
	}
	return rw.out, nil
}

var errNoUpgrade = errors.New("upgrade was not answered with 101")

// memory is the io.ReadWriter of one handshake.
type memory struct{ in, out []byte }

func (m *memory) Read(b []byte) (int, error) {
	if len(m.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b, m.in)
	m.in = m.in[n:]
	return n, nil
}

func (m *memory) Write(b []byte) (int, error) {
	m.out = append(m.out, b...)
	return len(b), nil
}
