package edge_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/confab-chat/confab/shared/admin"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
)

// another runs one more edge around the same NATS and owner.
func (w *world) another(settings ...string) *world {
	w.tb.Helper()
	b := &world{tb: w.tb, srv: w.srv, admin: admin.New(), log: &lines{}, owner: w.owner}
	b.gate = natstest.NewGate(w.tb, w.srv)
	b.run(settings...)
	return b
}

// packets is an Engine.IO client over a WebSocket. It keeps the packets as they came,
// binary messages with a b in front. It answers pings and does not keep them.
type packets struct {
	w    *world
	nc   net.Conn
	mute bool // pings are not answered, but kept

	mu  sync.Mutex // guards the following
	all []string
	end *ending
}

// engine opens a WebSocket at path with a query beside EIO and transport.
func (w *world) engine(path, query string, header ...string) *packets {
	w.tb.Helper()
	p, status := w.tryEngine(path, "EIO=4&transport=websocket"+query, header...)
	if p == nil {
		w.tb.Fatalf("%s: HTTP %d", path, status)
	}
	return p
}

// tryEngine returns nil and the HTTP status when the upgrade is refused.
func (w *world) tryEngine(path, query string, header ...string) (*packets, int) {
	w.tb.Helper()
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	d := ws.Dialer{Timeout: eventually.Patience(), Header: ws.HandshakeHeaderHTTP(h), TLSConfig: w.tls}
	nc, buf, _, err := d.Dial(context.Background(), w.scheme("ws")+w.addr+path+"?"+query)
	if err != nil {
		status, ok := err.(ws.StatusError)
		if !ok {
			w.tb.Fatalf("dial: %v", err)
		}
		return nil, int(status)
	}
	p := &packets{w: w, nc: nc}
	var r io.Reader = nc
	if buf != nil {
		r = io.MultiReader(io.LimitReader(buf, int64(buf.Buffered())), nc)
	}
	done := make(chan struct{})
	go func() { defer close(done); p.read(bufio.NewReader(r)) }()
	w.tb.Cleanup(func() { _ = nc.Close(); <-done })
	return p, http.StatusSwitchingProtocols
}

func (p *packets) read(r io.Reader) {
	for {
		f, err := readFrame(r)
		p.mu.Lock()
		switch {
		case err != nil:
			if p.end == nil {
				p.end = &ending{code: 1006, err: err}
			}
		case f.Header.OpCode == ws.OpClose:
			code, reason := ws.ParseCloseFrameData(f.Payload)
			p.end = &ending{code: code, reason: reason}
		case f.Header.OpCode == ws.OpBinary:
			p.all = append(p.all, "b"+string(f.Payload))
		case f.Header.OpCode == ws.OpText && string(f.Payload) == "2" && !p.mute:
			_ = ws.WriteFrame(p.nc, ws.MaskFrame(ws.NewTextFrame([]byte("3"))))
		case f.Header.OpCode == ws.OpText:
			p.all = append(p.all, string(f.Payload))
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
		if f.Header.OpCode == ws.OpClose {
			_ = ws.WriteFrame(p.nc, ws.MaskFrame(ws.NewCloseFrame(f.Payload)))
		}
	}
}

func (p *packets) say(texts ...string) {
	p.w.tb.Helper()
	for _, text := range texts {
		f := ws.NewTextFrame([]byte(text))
		if data, binary := strings.CutPrefix(text, "b"); binary {
			f = ws.NewBinaryFrame([]byte(data))
		}
		if err := ws.WriteFrame(p.nc, ws.MaskFrame(f)); err != nil {
			p.w.tb.Errorf("write: %v", err)
		}
	}
}

func (p *packets) received() ([]string, *ending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.all...), p.end
}

// find waits for the n-th packet with the prefix, from 1, and returns what follows it. It fails the
// test when the connection ends first.
func (p *packets) find(prefix string, n int) string {
	p.w.tb.Helper()
	rest, end := p.findOrEnd(prefix, n)
	if end != nil {
		all, _ := p.received()
		p.w.tb.Fatalf("waiting for %s: ended %+v; received %q", prefix, *end, all)
	}
	return rest
}

// findOrEnd is find, but returns how the connection ended when it ends first.
func (p *packets) findOrEnd(prefix string, n int) (rest string, end *ending) {
	p.w.tb.Helper()
	eventually.True(p.w.tb, fmt.Sprint(prefix, " ", n), func() bool {
		var all []string
		all, end = p.received()
		left := n
		for _, text := range all {
			var ok bool
			if rest, ok = strings.CutPrefix(text, prefix); ok {
				if left--; left == 0 {
					end = nil
					return true
				}
			}
		}
		return end != nil
	}, func() any { all, _ := p.received(); return fmt.Sprintf("%q\nlog:\n%s", all, p.w.log) })
	return rest, end
}

// ended waits for the end.
func (p *packets) ended() ending {
	p.w.tb.Helper()
	var end *ending
	eventually.True(p.w.tb, "the end of the connection", func() bool {
		_, end = p.received()
		return end != nil
	}, func() any { all, _ := p.received(); return all })
	return *end
}

// chat is a client of the contract over Socket.IO: one in the namespace /chat.
type chat struct {
	*packets
	ns   string // as in packets: "/chat,"
	pid  string
	acks int
}

// chat connects user with a WebSocket; auth is more JSON members for CONNECT.
func (w *world) chat(user string, auth ...string) *chat {
	w.tb.Helper()
	c := &chat{packets: w.engine("/socket.io/", ""), ns: "/chat,"}
	c.connect(user, auth...)
	return c
}

func (c *chat) connect(user string, auth ...string) {
	c.w.tb.Helper()
	c.say(fmt.Sprintf(`40%s{"token":%q%s}`, c.ns, token(user, time.Hour), strings.Join(append([]string{""}, auth...), ",")))
	var granted struct{ SID, PID string }
	c.unmarshal("{"+c.find("40"+c.ns+"{", 1), &granted)
	if c.pid = granted.PID; granted.SID == "" || c.pid == "" {
		c.w.tb.Fatalf("connect: %+v", granted)
	}
}

func (p *packets) unmarshal(text string, v any) {
	p.w.tb.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		p.w.tb.Fatalf("%s: %v", text, err)
	}
}

// emit sends an event, without callback.
func (c *chat) emit(name, data string) {
	c.w.tb.Helper()
	c.say(fmt.Sprintf(`42%s[%q,%s]`, c.ns, name, data))
}

// reply sends an event with a callback and returns the acknowledgement.
func (c *chat) reply(name, data string) (b body) {
	c.w.tb.Helper()
	c.acks++
	c.say(fmt.Sprintf(`42%s%d[%q,%s]`, c.ns, c.acks, name, data))
	c.unmarshal(strings.TrimSuffix(c.find(fmt.Sprintf("43%s%d[", c.ns, c.acks), 1), "]"), &b)
	return b
}

// event waits for the n-th event of that name and returns its first argument.
func (c *chat) event(name string, n int) (b body) {
	c.w.tb.Helper()
	var args []json.RawMessage
	c.unmarshal("[0"+c.find(fmt.Sprintf(`42%s[%q`, c.ns, name), n), &args)
	c.unmarshal(string(args[1]), &b)
	return b
}

func (c *chat) join(room string) {
	c.w.tb.Helper()
	if b := c.reply("joinRoom", fmt.Sprintf(`{"roomId":%q}`, room)); !b.Success {
		c.w.tb.Fatalf("joinRoom: %+v", b)
	}
}

// messages returns the messages and gaps that came, in order, as room and seq.
func (c *chat) messages() string {
	c.w.tb.Helper()
	all, _ := c.received()
	var list []string
	for _, text := range all {
		for _, name := range []string{"receiveMessage", "gap"} {
			rest, ok := strings.CutPrefix(text, fmt.Sprintf(`42%s[%q,`, c.ns, name))
			if !ok {
				continue
			}
			var b body
			if err := json.NewDecoder(strings.NewReader(rest)).Decode(&b); err != nil {
				c.w.tb.Fatal(err)
			}
			if name == "gap" {
				list = append(list, fmt.Sprintf("%sgap%d-%d", b.RoomID, b.From, b.To))
			} else {
				list = append(list, fmt.Sprint(b.RoomID, b.Seq))
			}
		}
	}
	return strings.Join(list, " ")
}

// expectMessages waits until messages returns want.
func (c *chat) expectMessages(want string) {
	c.w.tb.Helper()
	eventually.True(c.w.tb, "messages "+want+", received "+c.messages(), func() bool { return c.messages() == want })
}

// http sends a request over HTTP.
func (w *world) http(method, pathQuery, body string, header ...string) (status int, answer string, h http.Header) {
	w.tb.Helper()
	req, err := http.NewRequest(method, w.scheme("http")+w.addr+pathQuery, strings.NewReader(body))
	if err != nil {
		w.tb.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := polls
	if w.tls != nil {
		client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: w.tls}, Timeout: eventually.Patience()}
	}
	resp, err := client.Do(req)
	if err != nil {
		w.tb.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.tb.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

// scheme returns ws:// or http://, or wss:// or https:// over TLS.
func (w *world) scheme(plain string) string {
	if w.tls != nil {
		return plain + "s://"
	}
	return plain + "://"
}

// polls keeps no connections open: the leak test would find them.
var polls = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: eventually.Patience()}

// pollSession is a session over long-polling.
type pollSession struct {
	w    *world
	path string
	sid  string
}

func (w *world) pollSession(path string) *pollSession {
	w.tb.Helper()
	status, text, _ := w.http("GET", path+"?EIO=4&transport=polling", "")
	var open struct{ SID string }
	if status != 200 || !strings.HasPrefix(text, "0") || json.Unmarshal([]byte(text[1:]), &open) != nil || open.SID == "" {
		w.tb.Fatalf("open: %d %s", status, text)
	}
	return &pollSession{w, path, open.SID}
}

func (s *pollSession) url() string { return s.path + "?EIO=4&transport=polling&sid=" + s.sid }

func (s *pollSession) get() (int, string) {
	s.w.tb.Helper()
	status, text, _ := s.w.http("GET", s.url(), "")
	return status, text
}

func (s *pollSession) post(body string) (int, string) {
	s.w.tb.Helper()
	status, text, _ := s.w.http("POST", s.url(), body)
	return status, text
}

// at returns the session with its requests sent to another edge.
func (s *pollSession) at(w *world) *pollSession { return &pollSession{w, s.path, s.sid} }

// gets polls until a packet with the prefix has come, and returns the payload.
func (s *pollSession) gets(prefix string) string {
	s.w.tb.Helper()
	for {
		status, text := s.get()
		if status != 200 {
			s.w.tb.Fatalf("poll: %d %s", status, text)
		}
		if strings.Contains("\x1e"+text, "\x1e"+prefix) {
			return text
		}
	}
}

func expect(tb testing.TB, what string, got, want any) {
	tb.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		tb.Errorf("%s: %v, want %v", what, got, want)
	}
}
