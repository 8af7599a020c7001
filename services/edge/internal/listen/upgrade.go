package listen

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"net"
	"net/netip"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/listen/head"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// decide routes the request whose head is b[:end].
func (p *pending) decide(b []byte, end int) {
	r, err := head.Parse(b[:end])
	if err != nil {
		p.refuse(headRefusal(err))
		return
	}
	s := p.local.server
	i, known := s.routes[string(r.Path)]
	if !known && p.returned { // net/http parsed another path than head did
		p.refuse(refused(BadRequest))
		return
	}
	if !known || !s.options.Routes[i].Only && !r.WebSocket {
		p.handOff(b)
		return
	}
	if home := s.options.Routes[i].Home; home != nil && r.WebSocket {
		if l := home(string(r.Query)); l != nil && l != p.local.loop {
			p.moveTo(l, b)
			return
		}
	}
	if refusal := s.check(&r); refusal != nil {
		p.refuse(refusal)
		return
	}
	if !s.ips.addOpen(p.peer.Addr()) {
		p.refuse(refused(AddressConnections))
		return
	}
	opened := false
	defer func() {
		if !opened { // also when the gate panicked
			s.ips.removeOpen(p.peer.Addr())
		}
	}()
	opened = p.open(i, &r, b, end)
}

// check applies the rules that do not depend on route or user. Cheap ones come
// first, so that a storm is refused before tokens are verified.
func (s *Server) check(r *head.Request) *refusal {
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
	case !s.rate.Allow():
		return refused(Rate)
	}
	return nil
}

// validKey reports whether key is 16 bytes in base64 (RFC 6455, section 4.1).
func validKey(key []byte) bool {
	var b [18]byte
	if len(key) != 24 {
		return false
	}
	n, err := base64.StdEncoding.Decode(b[:], key)
	return err == nil && n == 16
}

// open authenticates, asks the gate, and opens the connection. It reports whether
// there is one.
func (p *pending) open(i int, r *head.Request, b []byte, end int) bool {
	s := p.local.server
	route := &s.options.Routes[i]
	h := &p.local.handshake
	*h = Handshake{
		Loop: p.local.loop, Path: route.Path, Query: string(r.Query), Origin: string(r.Origin),
		Token: token(r, s.options.AllowQueryToken), Remote: p.peer,
	}
	if offers(r, route.Subprotocol) {
		h.Subprotocol = route.Subprotocol
	}
	handler, refusal := s.authorize(route, h)
	if refusal != nil && !refusal.inBand(h) {
		p.refuse(refusal)
		return false
	}
	if refusal != nil {
		// A browser cannot see an HTTP status here, but it sees close codes.
		s.stats.Refused[refusal.reason].Add(1)
		handler = closeOnOpen{code: refusal.close}
	}
	if s.ips != nil {
		handler = counted{handler, func() { s.ips.removeOpen(p.peer.Addr()) }}
	}
	s.stats.Upgraded.Add(1)
	p.local.conns[i].Open(p.t, handler, switchingProtocols(r.Key, h.Subprotocol), b[end:])
	p.endHandshake()
	return true
}

// authorize verifies the token and asks the route's gate.
func (s *Server) authorize(route *Route, h *Handshake) (conn.Handler, *refusal) {
	if route.Verifier != nil {
		if h.Token == "" {
			return nil, refused(NoToken)
		}
		id, err := route.Verifier.Verify(h.Token)
		if err != nil {
			return nil, refusalFor(code.From(err))
		}
		h.Identity = id
	}
	handler, err := route.Gate(h)
	if own, ok := errors.AsType[*Answer](err); ok {
		return nil, &refusal{reason: Gated, status: own.Status, own: own.Body}
	}
	if err != nil {
		return nil, refusalFor(code.From(err))
	}
	return handler, nil
}

// moveTo hands the connection over to the loop that must own it, with its request.
func (p *pending) moveTo(l *poll.Loop, b []byte) {
	request := bytes.Clone(b)
	if nc := p.detach(); nc != nil {
		p.local.server.attach(nc, request, l.Attach, false)
	}
}

// detach ends the handshake and returns the connection; nil if it had to be refused.
func (p *pending) detach() net.Conn {
	nc, err := p.t.Detach()
	if err != nil {
		p.refuse(refused(Overload)) // out of descriptors
		return nil
	}
	p.endHandshake()
	return nc
}

// attach adds a connection to a loop again, with the bytes of its request. returned is that
// of pending.
func (s *Server) attach(nc net.Conn, request []byte, to func(net.Conn, poll.Acceptor) error, returned bool) {
	err := to(nc, func(t poll.Transport, peer netip.AddrPort) {
		if p := s.startHandshake(t, peer); p != nil {
			p.returned = returned
			p.Readable(request)
		}
	})
	if err != nil {
		event := "listen.move_failed"
		if returned {
			event = "listen.return_failed"
		}
		s.options.Logger.Debug("connection lost on its way to a loop", "event", event, "err", err)
	}
}

// AdmitSession applies the limits of upgrades to a session that is not a WebSocket
// (Engine.IO long-polling). It must be called before the session opens, and release
// when it ends.
func (s *Server) AdmitSession(peer netip.Addr) (release func(), refusal *code.Error) {
	deny := func(r Reason) (func(), *code.Error) {
		s.stats.Refused[r].Add(1)
		e := refused(r).err
		return nil, &e
	}
	switch {
	case s.draining.Load():
		return deny(Draining)
	case s.full():
		return deny(Overload)
	case !s.rate.Allow():
		return deny(Rate)
	case !s.ips.addOpen(peer):
		return deny(AddressConnections)
	}
	return func() { s.ips.removeOpen(peer) }, nil
}

// acceptGUID is what the key of a handshake is hashed with (RFC 6455, section 1.3).
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// switchingProtocols returns the response that completes a handshake, with the
// selected subprotocol, if any.
func switchingProtocols(key []byte, subprotocol string) []byte {
	accept := sha1.Sum([]byte(string(key) + acceptGUID))
	b := make([]byte, 0, 192)
	b = append(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	b = base64.StdEncoding.AppendEncode(b, accept[:])
	if subprotocol != "" {
		b = append(b, "\r\nSec-WebSocket-Protocol: "...)
		b = append(b, subprotocol...)
	}
	return append(b, "\r\n\r\n"...)
}

// counted wraps the handler of a connection that counts for its address.
type counted struct {
	conn.Handler
	release func()
}

// ConnSlot implements conn.Holder.
func (c counted) ConnSlot() *conn.Conn { return conn.SlotFor(c.Handler) }

func (c counted) Closed(k *conn.Conn, cause conn.Cause) {
	defer c.release()
	c.Handler.Closed(k, cause)
}

// closeOnOpen is the handler of a connection that is opened only to send a close
// code.
type closeOnOpen struct{ code code.Close }

func (f closeOnOpen) Opened(c *conn.Conn)                 { c.Close(f.code, "") }
func (closeOnOpen) Message(*conn.Conn, ws.OpCode, []byte) {}
func (closeOnOpen) Heartbeat(*conn.Conn)                  {}
func (closeOnOpen) Drained(*conn.Conn)                    {}
func (closeOnOpen) Closed(*conn.Conn, conn.Cause)         {}
