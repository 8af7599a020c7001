package edge_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/confab-chat/confab/shared/cert/certtest"
	"github.com/confab-chat/confab/shared/eventually"
)

// conformance is an edge as the public protocol suites expect it.
func conformance(tb testing.TB) *world {
	tb.Helper()
	return start(tb, "EDGE_CONFORMANCE=true", "SOCKETIO_PING_INTERVAL=300ms", "SOCKETIO_PING_TIMEOUT=200ms")
}

// The handshake of the protocol document, on both paths.
func TestEngineHandshake(t *testing.T) {
	t.Parallel()
	w := conformance(t)
	for _, path := range []string{"/engine.io/", "/socket.io/"} {
		status, text, h := w.http("GET", path+"?EIO=4&transport=polling", "")
		expect(t, "status", status, 200)
		expect(t, "type", h.Get("Content-Type"), "text/plain; charset=UTF-8")
		if !strings.HasPrefix(text, `0{"sid":"`) || !strings.HasSuffix(text, `","upgrades":["websocket"],"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}`) {
			t.Errorf("open packet %s", text)
		}
		if text := w.engine(path, "").find("0", 1); !strings.HasSuffix(text, `","upgrades":[],"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}`) {
			t.Errorf("open packet over websocket %s", text)
		}
		for query, want := range map[string]string{
			"GET transport=polling":              `400 {"code":5,"message":"Unsupported protocol version"}`,
			"GET EIO=3&transport=polling":        `400 {"code":5,"message":"Unsupported protocol version"}`,
			"GET EIO=abc&transport=polling":      `400 {"code":5,"message":"Unsupported protocol version"}`,
			"GET EIO=4":                          `400 {"code":0,"message":"Transport unknown"}`,
			"GET EIO=4&transport=abc":            `400 {"code":0,"message":"Transport unknown"}`,
			"POST EIO=4&transport=polling":       `400 {"code":2,"message":"Bad handshake method"}`,
			"PUT EIO=4&transport=polling":        `400 {"code":2,"message":"Bad handshake method"}`,
			"GET EIO=4&transport=websocket":      `400 {"code":3,"message":"Bad request"}`,
			"GET EIO=4&transport=polling&sid=x":  `400 {"code":1,"message":"Session ID unknown"}`,
			"POST EIO=4&transport=polling&sid=x": `400 {"code":1,"message":"Session ID unknown"}`,
			"GET EIO=4&transport=polling&sid=":   `400 {"code":1,"message":"Session ID unknown"}`,
		} {
			method, q, _ := strings.Cut(query, " ")
			status, text, _ := w.http(method, path+"?"+q, "")
			if got := http.StatusText(status); got != http.StatusText(400) || text != want[4:] {
				t.Errorf("%s: %d %s, want %s", query, status, text, want)
			}
		}
		for _, q := range []string{"transport=websocket", "EIO=3&transport=websocket", "EIO=4", "EIO=4&transport=abc", "EIO=4&transport=polling", "EIO=4&transport=websocket&sid=x"} {
			if p, status := w.tryEngine(path, q); p != nil || status != 400 {
				t.Errorf("websocket %s: %d", q, status)
			}
		}
	}
}

func TestEngineMessages(t *testing.T) {
	t.Parallel()
	w := start(t, "EDGE_CONFORMANCE=true") // with pings so rare that none is in a poll
	for _, body := range []string{"4hello", "4test1\x1e4test2\x1e4test3", "4hello\x1ebAQIDBA=="} {
		s := w.pollSession("/engine.io/")
		status, text := s.post(body)
		expect(t, "post", []any{status, text}, []any{200, "ok"})
		status, text = s.get()
		expect(t, "poll", []any{status, text}, []any{200, body})
	}
	p := w.engine("/engine.io/", "")
	p.say("4hello", "b\x01\x02\x03\x04")
	p.find("4hello", 1)
	p.find("b\x01\x02\x03\x04", 1)
	for _, broken := range []string{"abc", "", "7", "2probe", "0{}"} {
		p := w.engine("/engine.io/", "")
		p.say(broken)
		expect(t, broken, p.ended().code, 1008)
	}
	for _, broken := range []string{"abc", "", "4a\x1e", "bA"} {
		s := w.pollSession("/engine.io/")
		status, _ := s.post(broken)
		expect(t, broken, status, 400)
		status, _ = s.get()
		expect(t, broken+", after", status, 400)
	}
}

// A POST may have maxPayload bytes and no more.
func TestEnginePayloadLimits(t *testing.T) {
	t.Parallel()
	w := start(t, "EDGE_CONFORMANCE=true", "SOCKETIO_MAX_PAYLOAD=100000")
	s := w.pollSession("/engine.io/")
	body := "4" + strings.Repeat("x", 99_999)
	status, _ := s.post(body)
	expect(t, "post", status, 200)
	_, text := s.get()
	expect(t, "poll", len(text), len(body))
	status, _ = s.post(body + "y")
	expect(t, "one more", status, 413)
	for kind, want := range map[string]int{
		"text/plain;charset=UTF-8": 200, "application/octet-stream": 200, "application/json": 415,
		"application/x-www-form-urlencoded": 415, "multipart/form-data; boundary=x": 415,
	} {
		status, _, _ := w.http("POST", s.url(), "4hi", "Content-Type", kind)
		expect(t, kind, status, want)
	}
	status, _, _ = w.http("DELETE", s.url(), "")
	expect(t, "DELETE", status, 400)
	_, text = s.get()
	expect(t, "the session lives", text, "4hi\x1e4hi")
}

// A packet of long-polling has the same limit as a WebSocket's message.
func TestPacketLimitOverPolling(t *testing.T) {
	t.Parallel()
	w := start(t)
	s := w.pollSession("/socket.io/")
	status, _ := s.post("4" + strings.Repeat("x", 64<<10))
	expect(t, "post", status, 200)
	_, text := s.get()
	expect(t, "poll", text, "1")
}

func TestEngineHeartbeat(t *testing.T) {
	t.Parallel()
	w := start(t, "EDGE_CONFORMANCE=true", "SOCKETIO_PING_INTERVAL=100ms")
	for _, path := range []string{"/engine.io/", "/socket.io/"} {
		s := w.pollSession(path)
		for range 3 {
			status, text := s.get()
			// More than one ping when the client was slow.
			expect(t, "ping", []any{status, strings.TrimSuffix(strings.ReplaceAll(text, "2\x1e", ""), "2")}, []any{200, ""})
			status, _ = s.post("3")
			expect(t, "pong", status, 200)
		}
	}
	w = conformance(t)
	p := w.engine("/engine.io/", "")
	p.mu.Lock()
	p.mute = true
	p.mu.Unlock()
	p.find("2", 1)
	expect(t, "without pong", p.ended().code, 4002)
	for _, path := range []string{"/engine.io/", "/socket.io/"} {
		s := w.pollSession(path)
		eventually.True(t, "a session whose client answers no ping is over", func() bool { status, _ := s.get(); return status == 400 })
	}
}

// Two polls at once and a close packet each end the session.
func TestEngineEnds(t *testing.T) {
	t.Parallel()
	w := start(t, "EDGE_CONFORMANCE=true")
	over := func(s *pollSession) {
		t.Helper()
		status, text := s.get()
		expect(t, "after", []any{status, text}, []any{400, `{"code":1,"message":"Session ID unknown"}`})
	}
	s := w.pollSession("/engine.io/")
	answers := make(chan string, 2)
	for range 2 {
		go func() { status, text := s.get(); answers <- fmt.Sprint(status, " ", text) }()
	}
	both := []string{<-answers, <-answers}
	slices.Sort(both)
	expect(t, "two polls", both, []string{"200 1", `400 {"code":3,"message":"Bad request"}`})
	over(s)

	first := make(chan string, 1)
	s = w.pollSession("/engine.io/")
	go func() { _, text := s.get(); first <- text }()
	status, text := s.post("1")
	expect(t, "goodbye", []any{status, text}, []any{200, "ok"})
	if text := <-first; text != "6" && !strings.Contains(text, "unknown") { // it may have come too late
		t.Errorf("poll: %s", text)
	}
	over(s)

	p := w.engine("/engine.io/", "")
	p.say("1")
	expect(t, "goodbye", p.ended().code, 1000)
}

// A session is upgraded to a WebSocket on any loop, also over TLS and without epoll.
func TestEngineUpgrade(t *testing.T) {
	t.Parallel()
	certFile, keyFile, pool := certtest.Files(t)
	for name, settings := range map[string][]string{
		"epoll": {"EDGE_IO=auto"}, "goroutines": {"EDGE_IO=goroutine"},
		"TLS": {"EDGE_TLS_CERT_FILE=" + certFile, "EDGE_TLS_KEY_FILE=" + keyFile},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, append(settings, "EDGE_CONFORMANCE=true", "EDGE_LOOPS=3")...)
			if name == "TLS" {
				w.tls = &tls.Config{RootCAs: pool}
			}
			upgrades(t, w)
		})
	}
}

func upgrades(t *testing.T, w *world) {
	for range 6 { // on all pairs of loops
		s := w.pollSession("/engine.io/")
		p := w.engine("/engine.io/", "&sid="+s.sid)
		if q, status := w.tryEngine("/engine.io/", "EIO=4&transport=websocket&sid="+s.sid); q != nil {
			expect(t, "second probe", q.ended().code, 1008)
		} else {
			expect(t, "second probe", status, 400)
		}
		p.say("2probe")
		p.find("3probe", 1)
		status, text := s.get()
		expect(t, "poll", []any{status, text}, []any{200, "6"})
		s.post("4early")
		p.say("5")
		p.find("4early", 1)
		p.say("4hello")
		p.find("4hello", 1)
		status, _ = s.get()
		expect(t, "poll afterwards", status, 400)
		_, status = w.tryEngine("/engine.io/", "EIO=4&transport=websocket&sid="+s.sid)
		expect(t, "websocket afterwards", status, 400)
	}
}

// A WebSocket that does not finish the upgrade leaves the session as it was.
func TestEngineProbeFails(t *testing.T) {
	t.Parallel()
	w := start(t, "EDGE_CONFORMANCE=true")
	s := w.pollSession("/engine.io/")
	for _, say := range []string{"5", "4hello", "2", "x", "b1"} {
		p := w.engine("/engine.io/", "&sid="+s.sid)
		p.say(say)
		expect(t, say, p.ended().code, 1008)
	}
	p := w.engine("/engine.io/", "&sid="+s.sid)
	p.say("2probe")
	p.find("3probe", 1)
	_ = p.nc.Close()
	s.post("4hello")
	var text string
	eventually.True(t, "the session goes on", func() bool { _, text = s.get(); return text != "6" })
	expect(t, "echo", text, "4hello")
	p = w.engine("/engine.io/", "&sid="+s.sid)
	p.say("2probe")
	p.find("3probe", 1)
	s.post("1")
	p.ended()
}

// The edge stops reading POSTs of a client that does not poll its replies.
func TestEnginePollingBackPressure(t *testing.T) {
	t.Parallel()
	w := start(t, "EDGE_CONFORMANCE=true")
	s := w.pollSession("/engine.io/")
	big := strings.Repeat("4"+strings.Repeat("x", 99_999)+"\x1e", 9) + "4end"
	posted := make(chan int, 1)
	go func() { status, _ := s.post(big); posted <- status }()
	var got []string
	for len(got) < 10 {
		status, text := s.get()
		if status != 200 {
			t.Fatalf("poll: %d %s", status, text)
		}
		for _, packet := range strings.Split(text, "\x1e") {
			if packet != "2" {
				got = append(got, packet)
			}
		}
	}
	expect(t, "post", <-posted, 200)
	expect(t, "last", got[9], "4end")
}

func TestEngineOrigins(t *testing.T) {
	t.Parallel()
	w := start(t, "ALLOWED_ORIGINS=https://chat.example.com")
	const q = "/socket.io/?EIO=4&transport=polling"
	status, _, h := w.http("GET", q, "", "Origin", "https://chat.example.com")
	expect(t, "own origin", []any{status, h.Get("Access-Control-Allow-Origin"), h.Get("Access-Control-Allow-Credentials"), h.Get("Vary")},
		[]any{200, "https://chat.example.com", "true", "Origin"})
	status, text, h := w.http("GET", q, "", "Origin", "https://evil.example.com")
	expect(t, "foreign origin", []any{status, text, h.Get("Access-Control-Allow-Origin")}, []any{403, `{"code":4,"message":"Forbidden"}`, ""})
	status, _, h = w.http("OPTIONS", q, "", "Origin", "https://chat.example.com", "Access-Control-Request-Method", "POST")
	expect(t, "preflight", []any{status, h.Get("Access-Control-Allow-Methods"), h.Get("Access-Control-Allow-Credentials")}, []any{204, "GET, POST", "true"})
	if p, status := w.tryEngine("/socket.io/", "EIO=4&transport=websocket", "Origin", "https://evil.example.com"); p != nil || status != 403 {
		t.Errorf("websocket of a foreign origin: %d", status)
	}
}

// When an edge stops, its sessions over long-polling end and waiting polls are answered.
func TestEngineStops(t *testing.T) {
	t.Parallel()
	w := start(t, "EDGE_CONFORMANCE=true")
	s := w.pollSession("/engine.io/")
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if resp, err := polls.Get("http://" + w.addr + s.url()); err == nil {
			resp.Body.Close()
		}
	}()
	// The poll waits already, or comes too late. It is answered in both cases.
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	<-answered
}
