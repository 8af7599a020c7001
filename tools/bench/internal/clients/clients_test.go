//go:build linux

package clients

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/confab-chat/confab/tools/bench/internal/dialect"
)

// patience bounds a wait on a busy machine.
const patience = 20 * time.Second

// serve starts a WebSocket server that hands each connection to handle. It returns its
// address, and a configuration that trusts it.
func serve(t *testing.T, secure bool, handle func(net.Conn)) (netip.AddrPort, *tls.Config) {
	t.Helper()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		upgrader := ws.HTTPUpgrader{Protocol: func(p string) bool { return p == "confab.v1" }}
		conn, _, _, err := upgrader.Upgrade(r, w)
		if err != nil {
			return
		}
		defer conn.Close()
		handle(conn)
	})
	var server *httptest.Server
	var config *tls.Config
	if secure {
		server = httptest.NewTLSServer(handler)
		config = &tls.Config{RootCAs: x509.NewCertPool()}
		config.RootCAs.AddCert(server.Certificate())
	} else {
		server = httptest.NewServer(handler)
	}
	t.Cleanup(server.Close)
	return netip.MustParseAddrPort(server.Listener.Addr().String()), config
}

// seen is what a loop's callbacks got.
type seen struct {
	opened, closed int
	bodies         []string
}

func newLoop(t *testing.T, config *tls.Config, token string) (*Loop, *seen) {
	t.Helper()
	d, err := dialect.Named("native", "")
	if err != nil {
		t.Fatal(err)
	}
	s := &seen{}
	l, err := New(Options{
		Dialect: d, TLS: config, Token: func(int) string { return token },
		Opened:  func(*Conn) { s.opened++ },
		Closed:  func(*Conn, error) { s.closed++ },
		Message: func(_ *Conn, m dialect.Message, _ int64) { s.bodies = append(s.bodies, string(m.Body)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l, s
}

// pollUntil polls until a condition holds.
func pollUntil(t *testing.T, l *Loop, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); l.Poll(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not in %v; %+v", what, patience, l.Stats)
		}
	}
}

// echo returns every text frame to its sender, and answers control frames.
func echo(conn net.Conn) {
	for {
		b, op, err := wsutil.ReadClientData(conn)
		if err != nil || wsutil.WriteServerMessage(conn, op, b) != nil {
			return
		}
	}
}

// Connections open and exchange frames, among them one larger than a socket's buffer.
func TestEcho(t *testing.T) {
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			addr, config := serve(t, secure, echo)
			l, s := newLoop(t, config, "token")
			const n = 7
			conns := make([]*Conn, n)
			for i := range conns {
				conns[i] = l.Dial(addr)
			}
			pollUntil(t, l, "open", func() bool { return l.Stats.Open == n && s.opened == n })
			long := strings.Repeat("long ", 1<<18)
			conns[0].Send([]byte(long))
			for _, c := range conns[1:] {
				c.Send([]byte("short"))
			}
			pollUntil(t, l, "echoed", func() bool { return len(s.bodies) == n })
			lengths := make(map[int]int)
			for _, b := range s.bodies {
				lengths[len(b)]++
			}
			if lengths[len(long)] != 1 || lengths[len("short")] != n-1 {
				t.Errorf("lengths %v", lengths)
			}
			conns[0].Abort()
			if l.Stats.Open != n-1 || s.closed != 0 {
				t.Errorf("after Abort: %+v, %d closed", l.Stats, s.closed)
			}
		})
	}
}

// Pings are answered, and frames may come in pieces and together.
func TestFrames(t *testing.T) {
	pong := make(chan string, 1)
	addr, _ := serve(t, false, func(conn net.Conn) {
		stream := ws.MustCompileFrame(ws.NewTextFrame([]byte(`one`)))
		stream = append(stream, ws.MustCompileFrame(ws.NewPingFrame([]byte("p")))...)
		stream = append(stream, ws.MustCompileFrame(ws.NewTextFrame([]byte(strings.Repeat("2", 300))))...)
		for i := range stream[:40] {
			if _, err := conn.Write(stream[i : i+1]); err != nil {
				return
			}
		}
		if _, err := conn.Write(stream[40:]); err != nil {
			return
		}
		if f, err := ws.ReadFrame(conn); err == nil && f.Header.OpCode == ws.OpPong {
			pong <- string(ws.UnmaskFrame(f).Payload)
		}
		_ = ws.WriteFrame(conn, ws.NewCloseFrame(ws.NewCloseFrameBody(4001, "bye"))) // the client reports if it is missing
	})
	l, s := newLoop(t, nil, "token")
	l.Dial(addr)
	pollUntil(t, l, "closed", func() bool { return s.closed == 1 })
	if got := <-pong; got != "p" {
		t.Errorf("pong %q", got)
	}
	if len(s.bodies) != 2 || s.bodies[0] != "one" || len(s.bodies[1]) != 300 {
		t.Errorf("%q", s.bodies)
	}
	if err := l.Stats.FirstError.Error(); !strings.Contains(err, "close 4001 bye") {
		t.Error(err)
	}
}

// A server that breaks the protocol, or refuses, loses its client with a reason.
func TestLost(t *testing.T) {
	fragment := ws.NewFrame(ws.OpText, false, []byte("half"))
	huge := ws.MustCompileFrame(ws.Frame{Header: ws.Header{Fin: true, OpCode: ws.OpText, Length: maxFrame + 1}})
	for want, c := range map[string]struct {
		token  string
		secure bool
		config *tls.Config
		stream []byte
	}{
		"fragmented":         {"token", false, nil, ws.MustCompileFrame(fragment)},
		"masked":             {"token", false, nil, ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(nil)))},
		"a frame of":         {"token", false, nil, huge},
		"the server hung up": {"token", false, nil, nil},
		"401 who are you?":   {"wrong", false, nil, nil},
		"certificate":        {"token", true, &tls.Config{}, nil},
	} {
		addr, _ := serve(t, c.secure, func(conn net.Conn) { _, _ = conn.Write(c.stream) }) // the client reports
		l, s := newLoop(t, c.config, c.token)
		l.Dial(addr)
		pollUntil(t, l, want, func() bool { return s.closed == 1 })
		if err := l.Stats.FirstError.Error(); !strings.Contains(err, want) || l.Stats.Lost != 1 || l.Stats.Pending+l.Stats.Open != 0 {
			t.Errorf("%s: %s %+v", want, err, l.Stats)
		}
	}
}

// A client that has stopped reading is lost only when the server hangs up.
func TestStopReading(t *testing.T) {
	hangUp := make(chan struct{})
	addr, _ := serve(t, false, func(conn net.Conn) {
		_ = wsutil.WriteServerText(conn, []byte("unread")) // the client does not read it
		<-hangUp
	})
	l, s := newLoop(t, nil, "token")
	l.options.Opened = func(c *Conn) { s.opened++; c.StopReading() }
	l.Dial(addr)
	pollUntil(t, l, "open", func() bool { return s.opened == 1 })
	l.Poll(20 * time.Millisecond)
	if l.Stats.Lost != 0 {
		t.Errorf("%+v", l.Stats)
	}
	close(hangUp)
	pollUntil(t, l, "closed", func() bool { return s.closed == 1 })
}

// Close and Abort end connections that are still being opened.
func TestEndWhileOpening(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	l, s := newLoop(t, nil, "token")
	c := l.Dial(netip.MustParseAddrPort(silent.Addr().String()))
	l.Dial(netip.MustParseAddrPort(silent.Addr().String()))
	c.Abort()
	if l.Stats.Pending != 1 || s.closed != 0 {
		t.Errorf("%+v", l.Stats)
	}
}
