// Package dialecttest is a small server for tests, which speaks each of the dialects
// strictly: what it cannot parse ends the connection and is reported. It keeps rooms
// and numbers their messages, and delivers in order.
package dialecttest

import (
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// Server is one server. Its methods may be called from any goroutine.
type Server struct {
	// Static.
	tb       testing.TB
	protocol protocol
	http     *httptest.Server
	running  sync.WaitGroup

	// Guarded by mu.
	mu     sync.Mutex
	rooms  map[string]*room
	peers  map[*peer]struct{}
	closed bool
	refuse int // of the next requests to publish
	drop   int // deliveries of the next message that are left out
}

type room struct {
	members map[*peer]struct{}
	log     []string // contents; the seq of the first is 1
}

// request is what a client asked for.
type request struct {
	kind    string // join, publish, echo, connect, pong
	id      uint64
	room    string
	content string
	since   *uint64
}

// protocol is one dialect, from the server's side.
type protocol interface {
	greet(p *peer) []string // sent after the upgrade
	parse(p *peer, text string) ([]request, error)
	joined(r request, seq uint64) string
	accepted(r request, seq uint64) string
	refused(r request) string
	echoed(r request) string
	delivery(room, content string, seq uint64) string
	ping() string
	token(r *http.Request) error
}

var protocols = map[string]protocol{
	"native": native{}, "sio": confabSIO{}, "socketio": socketIO{}, "centrifugo": centrifugo{},
}

// New starts a server that ends with the test.
func New(tb testing.TB, dialect string) *Server {
	tb.Helper()
	s := unstarted(tb, dialect)
	s.http.Start()
	return s
}

// NewTLS is New with TLS, and the certificate of the server.
func NewTLS(tb testing.TB, dialect string) (*Server, *x509.Certificate) {
	tb.Helper()
	s := unstarted(tb, dialect)
	s.http.StartTLS()
	return s, s.http.Certificate()
}

func unstarted(tb testing.TB, dialect string) *Server {
	tb.Helper()
	s := &Server{tb: tb, protocol: protocols[dialect], rooms: make(map[string]*room), peers: make(map[*peer]struct{})}
	if s.protocol == nil {
		tb.Fatalf("no dialect %q", dialect)
	}
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that a test breaks
	tb.Cleanup(s.Close)
	return s
}

// Addr is where it listens.
func (s *Server) Addr() netip.AddrPort {
	return netip.MustParseAddrPort(s.http.Listener.Addr().String())
}

// Close ends all connections, and waits for them.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for p := range s.peers {
		p.conn.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
	s.http.Close()
}

// RefuseNext makes the server refuse the next n messages.
func (s *Server) RefuseNext(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = n
}

// DropNext makes the server keep the next message from n members.
func (s *Server) DropNext(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop = n
}

// PingAll sends everybody the ping of the dialect.
func (s *Server) PingAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.peers {
		p.send(s.protocol.ping())
	}
}

// Pongs counts the answers.
func (s *Server) Pongs() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.peers {
		n += p.pongs
	}
	return n
}

// peer is one connection; guarded by Server.mu, but for the reading of conn.
type peer struct {
	conn  net.Conn
	pongs int
}

// send writes a text frame; the reader finds out about a failure.
func (p *peer) send(text string) { _ = wsutil.WriteServerText(p.conn, []byte(text)) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if err := s.protocol.token(r); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	upgrader := ws.HTTPUpgrader{Protocol: func(p string) bool { return p == "confab.v1" }}
	conn, _, _, err := upgrader.Upgrade(r, w)
	if err != nil {
		return
	}
	p := &peer{conn: conn}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		conn.Close()
		return
	}
	s.peers[p] = struct{}{}
	for _, text := range s.protocol.greet(p) {
		p.send(text)
	}
	s.running.Go(func() { s.read(p) })
}

func (s *Server) read(p *peer) {
	defer s.gone(p)
	for {
		text, op, err := wsutil.ReadClientData(p.conn)
		if err != nil {
			return
		}
		if op != ws.OpText {
			s.tb.Errorf("a frame with opcode %d", op)
			return
		}
		requests, err := s.protocol.parse(p, string(text))
		if err != nil {
			s.tb.Errorf("%q: %v", text, err)
			return
		}
		for _, r := range requests {
			s.handle(p, r)
		}
	}
}

func (s *Server) gone(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.conn.Close()
	delete(s.peers, p)
	for _, r := range s.rooms {
		delete(r.members, p)
	}
}

func (s *Server) handle(p *peer, r request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.kind {
	case "pong":
		p.pongs++
	case "echo":
		p.send(s.protocol.echoed(r))
	case "join":
		s.join(p, r)
	case "publish":
		s.publish(p, r)
	}
}

func (s *Server) room(name string) *room {
	if s.rooms[name] == nil {
		s.rooms[name] = &room{members: make(map[*peer]struct{})}
	}
	return s.rooms[name]
}

func (s *Server) join(p *peer, r request) {
	room := s.room(r.room)
	room.members[p] = struct{}{}
	p.send(s.protocol.joined(r, uint64(len(room.log))))
	if r.since == nil {
		return
	}
	for i := int(*r.since); i < len(room.log); i++ {
		p.send(s.protocol.delivery(r.room, room.log[i], uint64(i+1)))
	}
}

func (s *Server) publish(p *peer, r request) {
	if s.refuse > 0 {
		s.refuse--
		p.send(s.protocol.refused(r))
		return
	}
	room := s.room(r.room)
	room.log = append(room.log, r.content)
	seq := uint64(len(room.log))
	p.send(s.protocol.accepted(r, seq))
	for m := range room.members {
		if s.drop > 0 && m != p {
			s.drop--
			continue
		}
		m.send(s.protocol.delivery(r.room, r.content, seq))
	}
}

// bearer demands a token, as Confab's doors do.
func bearer(r *http.Request) error {
	if got := r.Header.Get("Authorization"); len(got) <= len("Bearer ") {
		return fmt.Errorf("no token")
	}
	return nil
}
