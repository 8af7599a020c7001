package listen_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/listen"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/shared/devtoken"
	"github.com/confab-chat/confab/shared/eventually"
)

// Numbers in names are rows of the hardening table.

func TestUpgrade(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode poll.Mode) {
		f := start(t, mode, nil)
		c := f.dial().send(request("/ws", bearer()))
		r, _ := c.response()
		// The key and answer of RFC 6455, section 1.3.
		if r.StatusCode != 101 || r.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || r.Header.Get("Sec-WebSocket-Protocol") != "" {
			t.Errorf("%d %v", r.StatusCode, r.Header)
		}
		c.send(text("hello")).want("echo", "1 Alice: hello")
		c.send(text("bye")).want("close", "8 1012 restart")
	})
}

func TestSubprotocol(t *testing.T) {
	t.Parallel()
	f := start(t, poll.Auto, nil)
	for _, c := range []struct{ name, offer, want string }{
		{"one", "confab.v1", "confab.v1"},
		{"with token", "confab.v1, confab.token." + token(), "confab.v1"},
		{"token first", "confab.token." + token() + ", confab.v1", "confab.v1"},
		{"unknown", "mqtt", ""},
		{"prefix", "confab.v12", ""},
	} {
		lines := []string{"Sec-WebSocket-Protocol: " + c.offer}
		if !strings.Contains(c.offer, "token") {
			lines = append(lines, bearer())
		}
		cl := f.dial().send(request("/ws", lines...))
		r, body := cl.response()
		if r.StatusCode != 101 || r.Header.Get("Sec-WebSocket-Protocol") != c.want {
			t.Errorf("%s: %d %v %s", c.name, r.StatusCode, r.Header, body)
		}
	}
}

// TestEarlyFrame is row 12: frames in the segment of the request are not lost,
// also when the request itself comes in pieces.
func TestEarlyFrame(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode poll.Mode) {
		f := start(t, mode, nil)
		all := request("/ws", bearer()) + text("one") + text("two")
		for _, cut := range []int{0, 1, 50, len(all) - 12, len(all) - 3} {
			c := f.dial()
			c.SetNoDelay(true)
			c.send(all[:cut])
			if cut > 0 { // the first piece is read before the second is sent
				eventually.True(t, "the edge has read the part", func() bool { return f.server.Pending() > 0 || cut > len(all)-20 })
			}
			c.send(all[cut:])
			c.response()
			c.want("first", "1 Alice: one")
			c.want("second", "1 Alice: two")
			c.Close()
		}
	})
}

// TestRefused are rows 1 to 8 and 12 of the handshake.
func TestRefused(t *testing.T) {
	t.Parallel()
	ok := bearer()
	origin := func(s string) string { return "Origin: " + s }
	cases := []struct {
		name   string
		req    string
		status int
		code   code.Code
		header string // that must be there
	}{
		{"1 foreign origin with a cookie", request("/ws", origin("https://evil.example"), "Cookie: session=x", ok), 403, code.Forbidden, ""},
		{"1 the same on socket.io", request("/socket.io/", origin("https://evil.example")), 403, code.Forbidden, ""},
		{"2 suffix", request("/ws", origin("https://app.example.com.evil.com"), ok), 403, code.Forbidden, ""},
		{"2 prefix", request("/ws", origin("https://evilapp.example.com"), ok), 403, code.Forbidden, ""},
		{"2 scheme", request("/ws", origin("http://app.example.com"), ok), 403, code.Forbidden, ""},
		{"2 port", request("/ws", origin("https://app.example.com:444"), ok), 403, code.Forbidden, ""},
		{"2 trailing dot", request("/ws", origin("https://app.example.com."), ok), 403, code.Forbidden, ""},
		{"2 upper case", request("/ws", origin("https://APP.example.com"), ok), 101, "", ""},
		{"3 null", request("/ws", origin("null"), ok), 403, code.Forbidden, ""},
		{"4 no origin, cookie", request("/ws", "Cookie: session="+token()), 401, code.Unauthorized, "Www-Authenticate"},
		{"4 no origin, bearer", request("/ws", ok), 101, "", ""},
		{"5 two origins", request("/ws", origin("https://app.example.com")+"\r\nOrigin: https://app.example.com", ok), 400, code.BadRequest, ""},
		{"5 control bytes", request("/ws", origin("https://app.example.com\x01"), ok), 400, code.BadRequest, ""},
		{"7 POST", request("/ws", "POST /ws HTTP/1.1", ok), 405, code.BadRequest, "Allow"},
		{"7 unknown method", request("/ws", "BREW /ws HTTP/1.1", ok), 405, code.BadRequest, "Allow"},
		{"7 HTTP/1.0", request("/ws", "GET /ws HTTP/1.0", ok), 505, code.BadRequest, ""},
		{"7 HTTP/2.0", request("/ws", "GET /ws HTTP/2.0", ok), 505, code.BadRequest, ""},
		{"7 no Upgrade", request("/ws", "Upgrade:", ok), 426, code.BadRequest, "Upgrade"},
		{"7 other Upgrade", request("/ws", "Upgrade: h2c", ok), 426, code.BadRequest, "Upgrade"},
		{"7 no Connection", request("/ws", "Connection:", ok), 400, code.BadRequest, ""},
		{"7 no key", request("/ws", "Sec-WebSocket-Key:", ok), 400, code.BadRequest, ""},
		{"7 short key", request("/ws", "Sec-WebSocket-Key: c2hvcnQ=", ok), 400, code.BadRequest, ""},
		{"7 key that is no base64", request("/ws", "Sec-WebSocket-Key: ????????????????????????", ok), 400, code.BadRequest, ""},
		{"7 two keys", request("/ws", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", ok), 400, code.BadRequest, ""},
		{"8 version 8", request("/ws", "Sec-WebSocket-Version: 8", ok), 426, code.BadRequest, "Sec-Websocket-Version"},
		{"8 no version", request("/ws", "Sec-WebSocket-Version:", ok), 426, code.BadRequest, "Sec-Websocket-Version"},
		{"12 length and encoding", request("/ws", "Content-Length: 5\r\nTransfer-Encoding: chunked", ok), 400, code.BadRequest, ""},
		{"12 a body", request("/ws", "Content-Length: 5", ok), 400, code.BadRequest, ""},
		{"12 an empty body", request("/ws", "Content-Length: 0", ok), 101, "", ""},
		{"no host", request("/ws", "Host:", ok), 400, code.BadRequest, ""},
		{"two hosts", request("/ws", "Host: a\r\nHost: b", ok), 400, code.BadRequest, ""},
		{"two authorizations", request("/ws", ok+"\r\n"+ok), 400, code.BadRequest, ""},
		{"folded header", request("/ws", "X: a\r\n b", ok), 400, code.BadRequest, ""},
		{"18 PROXY header", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + request("/ws", ok), 400, code.BadRequest, ""},
		{"18 PROXY v2", "\r\n\r\n\x00\r\nQUIT\n\x21\x11", 400, code.BadRequest, ""},
		{"TLS", "\x16\x03\x01\x02\x00\x01", 400, code.BadRequest, ""},
		{"gate", request("/gated"), 429, code.RateLimited, "Retry-After"},
	}
	modes(t, func(t *testing.T, mode poll.Mode) {
		f := start(t, mode, nil)
		for _, c := range cases {
			cl := f.dial().send(c.req)
			r, body := cl.response()
			if c.status == 101 {
				if r.StatusCode != 101 {
					t.Errorf("%s: %d %s", c.name, r.StatusCode, body)
				}
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				wantError(t, c.status, c.code, r, body)
				if c.header != "" && r.Header.Get(c.header) == "" {
					t.Errorf("no %s in %v", c.header, r.Header)
				}
				cl.wantClosed()
			})
		}
		if strings.Contains(f.logs.String(), token()[:40]) {
			t.Error("a token was logged")
		}
	})
}

// TestToken: where tokens may stand, and how a client learns that its token is refused.
func TestToken(t *testing.T) {
	t.Parallel()
	good := token()
	forged := devtoken.Mint([]byte(strings.Repeat("x", 32)), "alice", "", time.Now(), time.Hour)
	old := devtoken.Mint(secret, "alice", "", time.Now().Add(-2*time.Hour), time.Hour)
	const page = "Origin: https://app.example.com"
	modes(t, func(t *testing.T, mode poll.Mode) {
		f := start(t, mode, nil)
		query := start(t, mode, func(o *listen.Options) { o.AllowQueryToken = true })
		for _, c := range []struct {
			name   string
			f      *fixture
			target string
			lines  []string
			status int
			code   code.Code
			frame  string
		}{
			{"bearer", f, "/ws", []string{"Authorization: Bearer " + good}, 101, "", ""},
			{"bearer in lower case", f, "/ws", []string{"Authorization: bearer " + good}, 101, "", ""},
			{"other scheme", f, "/ws", []string{"Authorization: Basic " + good}, 401, code.Unauthorized, ""},
			{"subprotocol", f, "/ws", []string{"Sec-WebSocket-Protocol: confab.v1, confab.token." + good}, 101, "", ""},
			{"header before subprotocol", f, "/ws", []string{"Authorization: Bearer " + good, "Sec-WebSocket-Protocol: confab.v1, confab.token." + forged}, 101, "", ""},
			{"query, not allowed", f, "/ws?token=" + good, nil, 401, code.Unauthorized, ""},
			{"query, allowed", query, "/ws?x=y&token=" + good, nil, 101, "", ""},
			{"query, allowed, forged", query, "/ws?token=" + forged, nil, 401, code.Unauthorized, ""},
			{"none", f, "/ws", nil, 401, code.Unauthorized, ""},
			{"forged", f, "/ws", []string{"Authorization: Bearer " + forged}, 401, code.Unauthorized, ""},
			{"expired", f, "/ws", []string{"Authorization: Bearer " + old}, 401, code.TokenExpired, ""},
			{"36 too long", f, "/ws", []string{"Authorization: Bearer " + strings.Repeat("x", 8000)}, 401, code.Unauthorized, ""},
			{"none, page", f, "/ws", []string{page}, 101, "", "8 4501 auth required"},
			{"forged, page", f, "/ws", []string{page, "Sec-WebSocket-Protocol: confab.v1, confab.token." + forged}, 101, "", "8 4500 invalid token"},
			{"expired, page", f, "/ws", []string{page, "Authorization: Bearer " + old}, 101, "", "8 4001 token expired"},
			{"foreign page", f, "/ws", []string{"Origin: https://evil.example", "Authorization: Bearer " + forged}, 403, code.Forbidden, ""},
		} {
			t.Run(c.name, func(t *testing.T) {
				cl := c.f.dial().send(request(c.target, c.lines...))
				r, body := cl.response()
				switch {
				case c.status != 101:
					wantError(t, c.status, c.code, r, body)
				case r.StatusCode != 101:
					t.Errorf("%d %s", r.StatusCode, body)
				case c.frame != "":
					cl.want("first frame", c.frame)
					cl.wantClosed()
				default:
					cl.send(text("hi")).want("echo", "1 Alice: hi")
				}
			})
		}
		for _, s := range []string{good, forged, old} {
			for _, l := range []*logs{f.logs, query.logs} {
				if strings.Contains(l.String(), s[len(s)-20:]) {
					t.Error("a token was logged")
				}
			}
		}
	})
}

// TestTooLarge are rows 10 and 11, with a client that keeps on sending.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode poll.Mode) {
		f := start(t, mode, nil)
		for name, in := range map[string]string{
			"10 one endless line":  "GET /ws HTTP/1.1\r\nX: " + strings.Repeat("x", 32<<20),
			"11 endless lines":     "GET /ws HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 1<<20),
			"endless request line": "GET /" + strings.Repeat("x", 1<<20),
			"the same for HTTP":    "GET /other HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 1<<16),
		} {
			t.Run(name, func(t *testing.T) {
				c := f.dial()
				var wg sync.WaitGroup
				wg.Go(func() { c.send(in) })
				r, body := c.response()
				wantError(t, 431, code.PayloadTooLarge, r, body)
				c.Close()
				wg.Wait()
			})
		}
	})
}

// TestSlowHead: the time for a head is absolute, however slowly its bytes arrive, and other
// clients do not wait.
func TestSlowHead(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode poll.Mode) {
		f := start(t, mode, func(o *listen.Options) { o.HandshakeTimeout = 2 * time.Second })
		var wg sync.WaitGroup
		defer wg.Wait()
		for i := range 100 {
			c := f.dial()
			wg.Go(func() {
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					// The end may be a reset, by a byte that crossed the close.
					var late net.Error
					if b, err := io.ReadAll(c.r); len(b) > 0 || errors.As(err, &late) && late.Timeout() {
						t.Errorf("before the end: %q, %v", b, err)
					}
				}()
				in := request("/ws", bearer())
				tick := time.NewTicker(20 * time.Millisecond)
				defer tick.Stop()
				for j := 0; j < len(in) && i > 0; j++ { // the first sends nothing at all
					select {
					case <-tick.C:
						c.send(in[j : j+1])
					case <-ended:
						return
					}
				}
				<-ended
			})
		}
		for range 20 {
			f.upgraded("/ws", bearer()).send(text("hi")).want("meanwhile", "1 Alice: hi")
		}
		eventually.True(t, "all are refused", func() bool { return f.server.Stats().Refused[listen.Timeout].Load() == 100 })
	})
}

// TestDraining is row 20.
func TestDraining(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode poll.Mode) {
		f := start(t, mode, nil)
		before := f.upgraded("/ws", bearer())
		f.server.Drain()
		c := f.dial().send(request("/ws", bearer()))
		r, body := c.response()
		wantError(t, 503, code.Unavailable, r, body)
		var after int
		fmt.Sscan(r.Header.Get("Retry-After"), &after)
		if after < 1 || after > 10 {
			t.Errorf("Retry-After %q", r.Header.Get("Retry-After"))
		}
		before.send(text("still here")).want("echo", "1 Alice: still here")
		c = f.dial().send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
		if r, _ := c.response(); r.StatusCode != 200 {
			t.Errorf("HTTP while draining: %d", r.StatusCode)
		}
	})
}

// TestLimits are rows 14, 15 and 20, with the limits switched on.
func TestLimits(t *testing.T) {
	t.Parallel()
	t.Run("pending in all", func(t *testing.T) {
		t.Parallel()
		modes(t, func(t *testing.T, mode poll.Mode) {
			f := start(t, mode, func(o *listen.Options) { o.Pending = 10 })
			first := f.dial()
			for range 9 {
				f.dial()
			}
			eventually.True(t, "all are pending", func() bool { return f.server.Pending() == 10 })
			r, body := f.dial().response()
			wantError(t, 503, code.Unavailable, r, body)
			first.Close()
			eventually.True(t, "one has ended", func() bool { return f.server.Pending() == 9 })
			f.upgraded("/ws", bearer())
		})
	})
	t.Run("pending from one address", func(t *testing.T) {
		t.Parallel()
		modes(t, func(t *testing.T, mode poll.Mode) {
			f := start(t, mode, func(o *listen.Options) { o.PerIP.Pending = 16 })
			for range 16 {
				f.dial()
			}
			eventually.True(t, "as many as allowed are pending", func() bool { return f.server.Pending() == 16 })
			r, body := f.dial().response()
			wantError(t, 429, code.RateLimited, r, body)
		})
	})
	t.Run("connections from one address", func(t *testing.T) {
		t.Parallel()
		modes(t, func(t *testing.T, mode poll.Mode) {
			f := start(t, mode, func(o *listen.Options) { o.PerIP.Connections = 3 })
			f.dial().send(request("/ws")).response() // refused: does not count
			func() {
				c := f.dial().send(request("/broken")) // its gate panics: does not count either
				c.wantClosed()
			}()
			first := f.upgraded("/ws", bearer())
			f.upgraded("/ws", bearer())
			f.upgraded("/ws", bearer())
			r, body := f.dial().send(request("/ws", bearer(), "X-Forwarded-For: 1.2.3.4")).response()
			wantError(t, 429, code.RateLimited, r, body)
			if r.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			first.Close()
			eventually.True(t, "the conn is closed", func() bool { return closedConns(f) == 1 })
			f.upgraded("/ws", bearer())
		})
	})
	t.Run("rate", func(t *testing.T) {
		t.Parallel()
		f := start(t, poll.Auto, func(o *listen.Options) { o.Rate, o.Burst = 0.001, 2 })
		f.upgraded("/ws", bearer())
		f.upgraded("/ws", bearer())
		r, body := f.dial().send(request("/ws", "Authorization: Bearer not even looked at")).response()
		wantError(t, 503, code.Unavailable, r, body)
		r, _ = f.dial().send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n").response()
		if r.StatusCode != 200 {
			t.Errorf("HTTP: %d", r.StatusCode)
		}
	})
	t.Run("full", func(t *testing.T) {
		t.Parallel()
		f := start(t, poll.Auto, func(o *listen.Options) { o.MaxConnections = 2 })
		f.upgraded("/ws", bearer())
		f.upgraded("/ws", bearer())
		r, body := f.dial().send(request("/ws", bearer())).response()
		wantError(t, 503, code.Unavailable, r, body)
	})
}

func closedConns(f *fixture) (n uint64) {
	for _, s := range f.server.ConnStats() {
		n += s.Opened.Load() - uint64(s.Open.Load())
	}
	return n
}

// TestHTTP: what is no WebSocket reaches net/http with every byte.
func TestHTTP(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode poll.Mode) {
		f := start(t, mode, nil)
		for name, c := range map[string]struct{ in, want string }{
			"GET":               {"GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a?b=c  <nil>"},
			"POST with a body":  {"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", "POST /p hello <nil>"},
			"HTTP/1.0":          {"GET /old HTTP/1.0\r\n\r\n", "GET /old  <nil>"},
			"polling":           {"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n", "GET /socket.io/?EIO=4&transport=polling  <nil>"},
			"upgrade elsewhere": {request("/elsewhere"), "GET /elsewhere  <nil>"},
		} {
			r, body := f.dial().send(c.in).response()
			if r.StatusCode != 200 || body != c.want {
				t.Errorf("%s: %d %q, want %q", name, r.StatusCode, body, c.want)
			}
		}
		c := f.dial()
		for i := range 3 { // kept alive, one after another
			c.send(fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", i), strings.Repeat("b", 100000))
			if r, body := c.response(); r.StatusCode != 200 || len(body) < 100000 {
				t.Errorf("request %d: %d, %d bytes", i, r.StatusCode, len(body))
			}
		}
		resp, err := http.Get("http://" + f.addr + "/client") // closes its idle connection below
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		http.DefaultClient.CloseIdleConnections()
	})
}

// TestUpgradeOnKeptAlive: a proxy may send an upgrade on a connection that
// served plain HTTP before.
func TestUpgradeOnKeptAlive(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode poll.Mode) {
		f := start(t, mode, nil)
		c := f.dial().send("GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
		c.response()
		c.send(request("/socket.io/?EIO=4", bearer()), text("early"))
		if r, body := c.response(); r.StatusCode != 101 {
			t.Fatalf("%d %s", r.StatusCode, body)
		}
		c.want("early frame", "1 EIO=4 "+token()+": early")
		c.send(text("hi")).want("echo", "1 EIO=4 "+token()+": hi")

		c = f.dial().send("GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
		c.response()
		c.send("GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
		r, body := c.response()
		wantError(t, 426, code.BadRequest, r, body)

		c = f.dial().send("GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
		c.response()
		c.send(request("/ws", bearer(), "Origin: https://evil.example"))
		r, body = c.response()
		wantError(t, 403, code.Forbidden, r, body)
		if n := f.server.Stats().HTTP.Load(); n != 0 {
			t.Errorf("%d connections are counted in net/http's hands", n)
		}
	})
}

// TestAbsoluteForm: servers must take it (RFC 9112, section 3.2.2), and what the
// loops and net/http disagree about must not go back and forth between them.
func TestAbsoluteForm(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode poll.Mode) {
		f := start(t, mode, nil)
		r, body := f.dial().send("GET http://x/ws HTTP/1.1\r\nHost: x\r\n\r\n").response()
		wantError(t, 426, code.BadRequest, r, body)
		if r, body := f.dial().send(request("HTTP://chat.example/ws", bearer())).response(); r.StatusCode != 101 {
			t.Errorf("%d %s", r.StatusCode, body)
		}
		if r, body := f.dial().send("GET http://x/a?b=c HTTP/1.1\r\nHost: x\r\n\r\n").response(); r.StatusCode != 200 || !strings.HasPrefix(body, "GET ") {
			t.Errorf("%d %s", r.StatusCode, body)
		}
		for _, target := range []string{"ftp://x/ws", "x:/ws", "https:/ws"} {
			r, _ := f.dial().send("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n").response()
			if r.StatusCode < 200 || r.StatusCode > 499 {
				t.Errorf("%s: %d", target, r.StatusCode)
			}
		}
		eventually.True(t, "none is pending", func() bool { return f.server.Pending() == 0 })
	})
}

func TestTooManyHTTP(t *testing.T) {
	t.Parallel()
	f := start(t, poll.Auto, func(o *listen.Options) { o.MaxHTTP = 2 })
	for range 2 {
		f.dial().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").response()
	}
	r, body := f.dial().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").response()
	wantError(t, 503, code.Unavailable, r, body)
}

// TestGatePanics costs one connection.
func TestGatePanics(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode poll.Mode) {
		f := start(t, mode, nil)
		other := f.upgraded("/ws", bearer())
		f.dial().send(request("/broken")).wantClosed()
		other.send(text("hi")).want("the other", "1 Alice: hi")
	})
}

func TestBadRoutes(t *testing.T) {
	t.Parallel()
	g, err := poll.New(poll.Options{Loops: 1, Mode: poll.Goroutine})
	if err != nil {
		t.Fatal(err)
	}
	gate := func(*listen.Handshake) (conn.Handler, error) { return conn.EchoHandler{}, nil }
	for name, routes := range map[string][]listen.Route{
		"no path": {{Gate: gate}}, "no gate": {{Path: "/ws"}}, "twice": {{Path: "/ws", Gate: gate}, {Path: "/ws", Gate: gate}},
	} {
		if _, err := listen.New(listen.Options{Group: g, Routes: routes}); !errors.Is(err, listen.ErrRoute) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNoTokenToGate checks that a route without a verifier still passes the token to
// its gate.
func TestNoVerifier(t *testing.T) {
	t.Parallel()
	var seen atomic.Pointer[listen.Handshake]
	f := start(t, poll.Auto, func(o *listen.Options) {
		o.Routes[1].Gate = func(h *listen.Handshake) (conn.Handler, error) {
			seen.Store(h)
			return conn.EchoHandler{}, nil
		}
	})
	c := f.upgraded("/socket.io/?EIO=4&transport=websocket", "Authorization: Bearer abc", "Origin: https://a.example.org")
	h := seen.Load()
	if h.Token != "abc" || h.Identity != (auth.Identity{}) || h.Query != "EIO=4&transport=websocket" || h.Origin != "https://a.example.org" ||
		h.Remote != c.LocalAddr().(*net.TCPAddr).AddrPort() {
		t.Errorf("the gate saw %+v", h)
	}
}
