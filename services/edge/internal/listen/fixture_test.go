package listen_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/listen"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn/conntest"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
	"github.com/confab-chat/confab/shared/devtoken"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/origin"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

func TestMain(m *testing.M) {
	clientsMain()
	eventually.Parallel(4)
	goleak.VerifyTestMain(m)
}

// fixture is a server on running loops:
//
//	/ws                 native: token required, echoes text with the user's name
//	/socket.io/         WebSocket or HTTP, the gate sees the token
//	/conformance/echo   echo with large limits, no token
//	/gated              the gate says RATE_LIMITED
//	everything else     HTTP, which says what it got
type fixture struct {
	tb     testing.TB
	server *listen.Server
	group  *poll.Group
	addr   string
	logs   *logs
}

// logs is what was logged.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// modes runs a test over both ways of driving connections.
func modes(t *testing.T, test func(t *testing.T, mode poll.Mode)) {
	t.Helper()
	for _, m := range []poll.Mode{poll.Epoll, poll.Goroutine} {
		if m == poll.Epoll && runtime.GOOS != "linux" {
			continue
		}
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			test(t, m)
		})
	}
}

// echo is a session that answers text with its user's name before it.
type echo struct {
	conn.EchoHandler
	name string
}

func (e echo) Message(c *conn.Conn, op ws.OpCode, payload []byte) {
	switch string(payload) {
	case "panic":
		panic("bug")
	case "bye":
		c.Close(code.CloseRestart, "")
	default:
		c.Send(ws.AppendFrame(nil, op, []byte(e.name+": "+string(payload))), conn.Reply)
	}
}

// native are the options of the fixture's connections: the product's limits,
// with times that tests can wait for.
func native() conn.Options {
	return conn.Options{Heartbeat: -1, Unfinished: 500 * time.Millisecond, Closing: 500 * time.Millisecond}
}

func start(tb testing.TB, mode poll.Mode, change func(*listen.Options)) *fixture {
	tb.Helper()
	return startOn(tb, poll.Options{Loops: 2, Mode: mode, Tick: 10 * time.Millisecond}, change)
}

func startOn(tb testing.TB, p poll.Options, change func(*listen.Options)) *fixture {
	tb.Helper()
	f := &fixture{tb: tb, logs: new(logs)}
	logger := slog.New(slog.NewJSONHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if _, bench := tb.(*testing.B); bench {
		logger = slog.New(slog.DiscardHandler)
	}
	var err error
	p.Logger = logger
	f.group, err = poll.New(p)
	if err != nil {
		tb.Fatal(err)
	}
	origins, err := origin.Parse("https://app.example.com", "https://*.example.org")
	if err != nil {
		tb.Fatal(err)
	}
	keys, err := auth.HMAC(secret)
	if err != nil {
		tb.Fatal(err)
	}
	verifier, err := auth.New(keys, auth.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	o := listen.Options{
		Group: f.group, Origins: origins, Logger: logger, HTTP: http.HandlerFunc(serveHTTP),
		Routes: []listen.Route{
			{Path: "/ws", Only: true, Verifier: verifier, Subprotocol: "confab.v1", Conn: native(), Gate: func(h *listen.Handshake) (conn.Handler, error) {
				return echo{name: h.Identity.Username}, nil
			}},
			{Path: "/socket.io/", Conn: native(), Gate: func(h *listen.Handshake) (conn.Handler, error) {
				return echo{name: h.Query + " " + h.Token}, nil
			}},
			{Path: "/conformance/echo", Only: true, Conn: conn.ConformanceOptions(), Gate: func(*listen.Handshake) (conn.Handler, error) {
				return conn.EchoHandler{}, nil
			}},
			{Path: "/gated", Only: true, Gate: func(*listen.Handshake) (conn.Handler, error) {
				return nil, &code.Error{Code: code.RateLimited, Message: "not now", RetryAfter: 1500 * time.Millisecond}
			}},
			{Path: "/broken", Only: true, Gate: func(*listen.Handshake) (conn.Handler, error) { panic("bug") }},
		},
	}
	if change != nil {
		change(&o)
	}
	if f.server, err = listen.New(o); err != nil {
		tb.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	f.addr = ln.Addr().String()
	f.run()
	if err := f.server.Serve(ln); err != nil {
		tb.Fatal(err)
	}
	return f
}

// run starts the loops and the HTTP side, and stops them with the test.
func (f *fixture) run() {
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{f.group.Run, f.server.Run} {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				f.tb.Errorf("run: %v", err)
			}
		})
	}
	f.tb.Cleanup(func() {
		stop()
		wg.Wait()
		if n := f.server.Pending(); n != 0 {
			f.tb.Errorf("%d handshakes are counted as pending at the end", n)
		}
		for _, s := range f.server.ConnStats() {
			if n := s.Open.Load(); n != 0 {
				f.tb.Errorf("%d connections are counted as open at the end", n)
			}
		}
	})
}

func serveHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s %v", r.Method, r.RequestURI, body, err)
}

// client is a raw TCP client.
type client struct {
	tb testing.TB
	*net.TCPConn
	r *bufio.Reader
}

func (f *fixture) dial() *client {
	f.tb.Helper()
	c, err := net.Dial("tcp", f.addr)
	if err != nil {
		f.tb.Fatal(err)
	}
	f.tb.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(eventually.Patience())); err != nil {
		f.tb.Fatal(err)
	}
	return &client{f.tb, c.(*net.TCPConn), bufio.NewReader(c)}
}

// send writes; an error is left to the reading side to find.
func (c *client) send(parts ...string) *client {
	c.Write([]byte(strings.Join(parts, "")))
	return c
}

// response reads an HTTP response.
func (c *client) response() (*http.Response, string) {
	c.tb.Helper()
	r, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.tb.Fatalf("no response: %v", err)
	}
	if r.StatusCode == http.StatusSwitchingProtocols {
		return r, ""
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		c.tb.Fatalf("body: %v", err)
	}
	r.Body.Close()
	return r, string(b)
}

// wantClosed wants nothing more than the end of the stream.
func (c *client) wantClosed() {
	c.tb.Helper()
	if b, err := io.ReadAll(c.r); err != nil || len(b) > 0 {
		c.tb.Errorf("before the end: %q, %v", b, err)
	}
}

// frame reads one server frame and shows it: "1 text", "8 1000 reason".
func (c *client) frame() string {
	c.tb.Helper()
	head := make([]byte, 2, 10)
	if _, err := io.ReadFull(c.r, head); err != nil {
		return "no frame: " + err.Error()
	}
	n := int(head[1])
	for i, ext := range []int{126, 127} {
		if n == ext {
			size := 2 << (2 * i)
			b := make([]byte, size)
			io.ReadFull(c.r, b)
			n = 0
			for _, x := range b {
				n = n<<8 | int(x)
			}
			break
		}
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(c.r, payload); err != nil {
		return "cut frame: " + err.Error()
	}
	if op := ws.OpCode(head[0] & 15); op == ws.OpClose && n >= 2 {
		status, reason, err := ws.ParseClose(payload)
		if err != nil {
			return fmt.Sprintf("bad close frame % x", payload)
		}
		return fmt.Sprintf("8 %d %s", status, reason)
	}
	return fmt.Sprintf("%d %s", head[0]&15, payload)
}

func (c *client) want(what, want string) {
	c.tb.Helper()
	if got := c.frame(); got != want {
		c.tb.Errorf("%s: got %.200q, want %.200q", what, got, want)
	}
}

// token is a valid token of alice.
func token() string { return devtoken.Mint(secret, "alice", "Alice", time.Now(), time.Hour) }

// request is an upgrade request; lines replace or (when new) follow the usual
// ones, and a line "Name:" removes one.
func request(target string, lines ...string) string {
	head := []string{
		"Host: chat.example", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
	}
	start := "GET " + target + " HTTP/1.1"
	for _, l := range lines {
		name, value, ok := strings.Cut(l, ":")
		if !ok {
			start = l
			continue
		}
		for i, h := range head {
			if strings.HasPrefix(h, name+":") {
				head = append(head[:i:i], head[i+1:]...)
				break
			}
		}
		if value != "" {
			head = append(head, l)
		}
	}
	return start + "\r\n" + strings.Join(head, "\r\n") + "\r\n\r\n"
}

func bearer() string { return "Authorization: Bearer " + token() }

// upgraded returns a client that has shaken hands.
func (f *fixture) upgraded(target string, lines ...string) *client {
	f.tb.Helper()
	c := f.dial().send(request(target, lines...))
	if r, body := c.response(); r.StatusCode != 101 {
		f.tb.Fatalf("%s: %d %s", target, r.StatusCode, body)
	}
	return c
}

func text(s string) string { return string(conntest.Text(s)) }

// wantError checks the error object of the contract.
func wantError(tb testing.TB, status int, c code.Code, r *http.Response, body string) {
	tb.Helper()
	var e struct {
		Success    bool
		Error      code.Code
		Message    string
		StatusCode int
		Timestamp  time.Time
		Ref        string
	}
	e.Success = true
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		tb.Errorf("%d with a body that is no error object: %q", r.StatusCode, body)
		return
	}
	if r.StatusCode != status || e.StatusCode != status || e.Error != c || e.Success || e.Message == "" || e.Ref == "" || e.Timestamp.IsZero() {
		tb.Errorf("got %d %s, want %d %s", r.StatusCode, body, status, c)
	}
	if r.Header.Get("Content-Type") != "application/json" || !r.Close {
		tb.Errorf("headers: %v", r.Header)
	}
}
