package crowd_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/tools/chatload/internal/crowd"
	"github.com/confab-chat/confab/tools/chatload/internal/dialect"
	"github.com/confab-chat/confab/tools/chatload/internal/dialect/dialecttest"
)

// patience bounds a wait for a condition.
const patience = 20 * time.Second

// until polls until a condition holds.
func until(t *testing.T, w *crowd.Crowd, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); w.Poll(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not in %v; %+v", what, patience, w.Stats)
		}
	}
}

// seen counts what the crowd was told.
type seen struct {
	opened, closed int
	kinds          map[dialect.Kind]int
	ids            map[dialect.Kind]uint64 // the last
}

func newCrowd(t *testing.T, name string, o crowd.Options) (*crowd.Crowd, *seen) {
	t.Helper()
	d, err := dialect.Named(name, "/chat")
	if err != nil {
		t.Fatal(err)
	}
	s := &seen{kinds: make(map[dialect.Kind]int), ids: make(map[dialect.Kind]uint64)}
	o.Dialect = d
	if o.Token == nil {
		o.Token = func(int) string { return "token" }
	}
	o.Opened = func(*crowd.Conn) { s.opened++ }
	o.Closed = func(*crowd.Conn, error) { s.closed++ }
	o.Message = func(_ *crowd.Conn, m dialect.Message, _ int64) { s.kinds[m.Kind]++; s.ids[m.Kind] = m.ID }
	w, err := crowd.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w, s
}

func dial(t *testing.T, w *crowd.Crowd, to netip.AddrPort) *crowd.Conn {
	t.Helper()
	c, err := w.Dial(to)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Each dialect, against a server that takes it at its word: sessions open, pings are
// answered, requests get their answers, and members get what is published.
func TestDialects(t *testing.T) {
	for _, name := range dialect.Names() {
		t.Run(name, func(t *testing.T) {
			speak(t, name, dialecttest.New(t, name), crowd.Options{PerSource: 2})
		})
		t.Run(name+" over TLS", func(t *testing.T) {
			server, certificate := dialecttest.NewTLS(t, name)
			speak(t, name, server, crowd.Options{PerSource: 2, TLS: trusting(certificate)})
		})
	}
}

// trusting is the configuration of a client that trusts one certificate.
func trusting(c *x509.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return &tls.Config{RootCAs: pool}
}

func speak(t *testing.T, name string, server *dialecttest.Server, o crowd.Options) {
	w, s := newCrowd(t, name, o)
	d, _ := dialect.Named(name, "/chat")
	const n = 7
	conns := make([]*crowd.Conn, n)
	for i := range conns {
		conns[i] = dial(t, w, server.Addr())
	}
	until(t, w, "open", func() bool { return w.Stats.Open == n && s.opened == n })
	for _, c := range conns {
		c.Text(d.AppendJoin(nil, 1, "room", -1))
	}
	until(t, w, "joined", func() bool { return s.kinds[dialect.Joined] == n })
	long := strings.Repeat("x", 3000)
	conns[0].Text(d.AppendPublish(nil, 2, "room", []byte(long)))
	until(t, w, "delivered", func() bool { return s.kinds[dialect.Delivery] == n && s.kinds[dialect.Accepted] == 1 })
	conns[1].Text(d.AppendEcho(nil, 3))
	until(t, w, "echoed", func() bool { return s.kinds[dialect.Echoed] == 1 })
	if s.ids[dialect.Accepted] != 2 || s.ids[dialect.Echoed] != 3 {
		t.Errorf("answers for %v", s.ids)
	}
	server.RefuseNext(1)
	conns[2].Text(d.AppendPublish(nil, 4, "room", []byte("no")))
	until(t, w, "refused", func() bool { return s.kinds[dialect.Limited]+s.kinds[dialect.Refused] == 1 })
	server.PingAll()
	until(t, w, "pongs", func() bool { return server.Pongs() == n })
	server.Close()
	until(t, w, "hung up", func() bool { return w.Stats.Lost == n && s.closed == n })
}

// Who cannot be trusted is not spoken to.
func TestUntrusted(t *testing.T) {
	server, _ := dialecttest.NewTLS(t, "native")
	w, s := newCrowd(t, "native", crowd.Options{TLS: &tls.Config{RootCAs: x509.NewCertPool()}})
	dial(t, w, server.Addr())
	until(t, w, "refused", func() bool { return w.Stats.Lost == 1 && s.closed == 1 && w.Stats.Pending == 0 })
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](w.Stats.FirstError); !untrusted {
		t.Errorf("%v", w.Stats.FirstError)
	}
	trusted, certificate := dialecttest.NewTLS(t, "native")
	w, _ = newCrowd(t, "native", crowd.Options{TLS: trusting(certificate)})
	dial(t, w, trusted.Addr())
	until(t, w, "open", func() bool { return w.Stats.Open == 1 })
}

// A server that does not answer the handshake keeps nobody: not who hangs up, and not
// the end of the crowd, which waits for its goroutines.
func TestSilentHandshake(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var silent []net.Conn
	t.Cleanup(func() { // behind the end of the crowd
		for _, c := range silent {
			c.Close()
		}
	})
	w, s := newCrowd(t, "native", crowd.Options{TLS: &tls.Config{}})
	to := netip.MustParseAddrPort(ln.Addr().String())
	first := dial(t, w, to)
	dial(t, w, to)
	hello := make([]byte, 1)
	for range 2 {
		accepted := make(chan net.Conn, 1)
		go func() {
			c, err := ln.Accept()
			if err == nil {
				_, err = c.Read(hello)
			}
			if err != nil {
				t.Error(err)
			}
			accepted <- c
		}()
		until(t, w, "a handshake", func() bool {
			select {
			case c := <-accepted:
				silent = append(silent, c)
				return true
			default:
				return false
			}
		})
	}
	first.HangUp()
	if w.Stats.Pending != 1 || s.closed != 0 {
		t.Errorf("%+v, %d told", w.Stats, s.closed)
	}
	until(t, w, "the descriptor is given back", func() bool {
		for _, c := range silent {
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := io.Copy(io.Discard, c); err == nil {
				return true
			}
		}
		return false
	})
}

// What arrives in one piece and more than a record's worth at a time is taken apart, and
// what the socket does not take waits, encrypted.
func TestMuchOverTLS(t *testing.T) {
	server, certificate := dialecttest.NewTLS(t, "native")
	w, s := newCrowd(t, "native", crowd.Options{TLS: trusting(certificate)})
	d, _ := dialect.Named("native", "")
	a, b := dial(t, w, server.Addr()), dial(t, w, server.Addr())
	until(t, w, "open", func() bool { return s.opened == 2 })
	a.Text(d.AppendJoin(nil, 1, "room", -1))
	b.Text(d.AppendJoin(nil, 1, "room", -1))
	until(t, w, "joined", func() bool { return s.kinds[dialect.Joined] == 2 })
	const messages = 400
	long := []byte(strings.Repeat("x", 9000))
	for n := range uint64(messages) {
		a.Text(d.AppendPublish(nil, n+2, "room", long))
	}
	until(t, w, "all of it", func() bool {
		return s.kinds[dialect.Accepted] == messages && s.kinds[dialect.Delivery] == 2*messages
	})
	a.Leave()
	b.HangUp()
	if w.Stats.Open != 0 || s.closed != 0 {
		t.Errorf("%+v, %d told", w.Stats, s.closed)
	}
}

func TestRefusedUpgrade(t *testing.T) {
	server := dialecttest.New(t, "native")
	w, s := newCrowd(t, "native", crowd.Options{Token: func(int) string { return "" }})
	dial(t, w, server.Addr())
	until(t, w, "refused", func() bool { return w.Stats.Lost == 1 && s.closed == 1 })
	if err := w.Stats.FirstError; err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("%v", err)
	}
}

func TestNobodyListens(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(ln.Addr().String())
	ln.Close()
	w, _ := newCrowd(t, "native", crowd.Options{})
	dial(t, w, addr)
	until(t, w, "lost", func() bool { return w.Stats.Lost == 1 && w.Stats.Pending == 0 })
}

// Slots of ended connections serve again, and those that hung up are not told.
func TestLeaveAndComeBack(t *testing.T) {
	server := dialecttest.New(t, "native")
	w, s := newCrowd(t, "native", crowd.Options{})
	for round := range 3 {
		a, b := dial(t, w, server.Addr()), dial(t, w, server.Addr())
		until(t, w, "open", func() bool { return w.Stats.Open == 2 })
		a.Leave()
		b.HangUp()
		b.HangUp()
		b.Text([]byte("nobody gets this"))
		if w.Stats.Open != 0 || s.closed != 0 || int(a.Number) != 2*round {
			t.Fatalf("%+v, %d told, number %d", w.Stats, s.closed, a.Number)
		}
	}
}

// A frame that arrives byte by byte is one frame.
func TestPieces(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	text := `{"event":"receiveMessage","data":{}}`
	answer := "HTTP/1.1 101 Switching Protocols\r\n\r\n" + fmt.Sprintf("\x81%c%s", len(text), text)
	done := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			done <- err
			return
		}
		for i := range len(answer) {
			if _, err = c.Write([]byte{answer[i]}); err != nil {
				break
			}
		}
		done <- err
	}()
	w, s := newCrowd(t, "native", crowd.Options{})
	dial(t, w, netip.MustParseAddrPort(ln.Addr().String()))
	until(t, w, "delivered", func() bool { return s.kinds[dialect.Delivery] == 1 })
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What a deaf client does not read stays in the kernel, then with the server; when it
// is thrown out, that is noticed.
func TestDeaf(t *testing.T) {
	server := dialecttest.New(t, "native")
	w, s := newCrowd(t, "native", crowd.Options{})
	d, _ := dialect.Named("native", "")
	c := dial(t, w, server.Addr())
	until(t, w, "open", func() bool { return s.opened == 1 })
	c.Text(d.AppendJoin(nil, 1, "room", -1))
	until(t, w, "joined", func() bool { return s.kinds[dialect.Joined] == 1 })
	c.Deafen()
	c.Text(d.AppendPublish(nil, 2, "room", []byte("to myself")))
	server.Close()
	until(t, w, "noticed", func() bool { return s.closed == 1 })
	if s.kinds[dialect.Delivery] != 0 {
		t.Error("a deaf client has heard something")
	}
}
