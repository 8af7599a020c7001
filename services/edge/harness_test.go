package edge_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"github.com/confab-chat/confab/services/edge"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay/relaytest"
	"github.com/confab-chat/confab/shared/admin"
	"github.com/confab-chat/confab/shared/config"
	"github.com/confab-chat/confab/shared/devtoken"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/lifecycle"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/shared/telemetry"
)

func TestMain(m *testing.M) {
	eventually.Parallel(4)
	goleak.VerifyTestMain(m)
}

const secret = "0123456789abcdef0123456789abcdef"

// world is a running edge with everything around it played by the test.
type world struct {
	tb    testing.TB
	srv   *natstest.Server
	gate  *natstest.Gate // between the edge and NATS
	owner *relaytest.Owner
	admin *admin.Server
	addr  string
	tls   *tls.Config // of clients; nil: plain
	log   *lines
	stop  func() error // ends the edge and returns what Run returned; once
}

// lines is what the edge logs.
type lines struct {
	mu  sync.Mutex // guards buf
	buf strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// start runs an edge with additional settings, such as "LIMIT_JOINS=3".
func start(tb testing.TB, settings ...string) *world {
	tb.Helper()
	w := &world{tb: tb, srv: natstest.Start(tb), admin: admin.New(), log: &lines{}}
	w.gate = natstest.NewGate(tb, w.srv)
	w.owner = relaytest.New(tb, natstest.Conn(tb, w.srv))
	w.run(settings...)
	return w
}

func (w *world) run(settings ...string) {
	w.tb.Helper()
	environ := []string{
		"CONFAB_EDGE_ADDR=127.0.0.1:0", "CONFAB_AUTH_HMAC_SECRET=" + secret, "CONFAB_LOG_FORMAT=json",
		"CONFAB_LIMIT_MESSAGES=0", "CONFAB_LIMIT_JOINS=0", "CONFAB_LIMIT_TYPING=0", "CONFAB_DATA_DIR=" + w.tb.TempDir(),
	}
	for _, s := range settings {
		environ = append(environ, "CONFAB_"+s)
	}
	cfg, err := config.Load[edge.Config](environ)
	if err != nil {
		w.tb.Fatal(err)
	}
	tel, err := telemetry.New(context.Background(), telemetry.Options{
		Service: "edge", Instance: "e1", Log: w.log, LogLevel: slog.LevelDebug, NoMetrics: true,
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- edge.Run(ctx, cfg, lifecycle.Deps{
			Identity: lifecycle.NewIdentity("edge", "test"), NATS: w.gate, Telemetry: tel, Admin: w.admin,
		})
	}()
	w.stop = sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-done, tel.Shutdown(context.Background()))
	})
	w.tb.Cleanup(func() {
		if err := w.stop(); err != nil {
			w.tb.Errorf("edge: %v", err)
		}
	})
	found := regexp.MustCompile(`"addr":"([^"]+)"`)
	eventually.True(w.tb, "the edge listens", func() bool {
		m := found.FindStringSubmatch(w.log.String())
		if m != nil {
			w.addr = m[1]
		}
		return m != nil
	})
}

// token is a token for user that lasts for ttl.
func token(user string, ttl time.Duration) string {
	return devtoken.Mint([]byte(secret), user, strings.ToUpper(user), time.Now(), ttl)
}

// withShortToken calls attempt with a life of tokens, and again with twice that life when attempt
// returns false because its token expired before it was used.
func withShortToken(tb testing.TB, attempt func(life time.Duration) bool) {
	tb.Helper()
	life := 2 * time.Second // a token counts whole seconds
	for !attempt(life) {
		if life *= 2; life > eventually.Patience() {
			tb.Fatalf("a token of %v expires before it is used", life)
		}
	}
}

// frame is one frame as a client reads it.
type frame struct {
	ID    *uint64         `json:"id"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
}

// body is what tests look at in any payload.
type body struct {
	Success      bool            `json:"success"`
	Error        string          `json:"error"`
	Message      json.RawMessage `json:"message"`
	StatusCode   int             `json:"statusCode"`
	RetryAfterMs int64           `json:"retryAfterMs"`
	Event        string          `json:"event"`
	Ref          string          `json:"ref"`
	Timestamp    string          `json:"timestamp"`

	RoomID      string   `json:"roomId"`
	UserID      string   `json:"userId"`
	Seq         uint64   `json:"seq"`
	From        uint64   `json:"from"`
	To          uint64   `json:"to"`
	Recovered   *bool    `json:"recovered"`
	ActiveUsers []string `json:"activeUsers"`
	Total       uint64   `json:"total"`
	Content     string   `json:"content"`
	ID          string   `json:"id"`
	HasMore     bool     `json:"hasMore"`
	Duplicate   bool     `json:"duplicate"`
	AfterMs     *uint64  `json:"afterMs"`
	ExpiresAt   string   `json:"expiresAt"`
	Status      string   `json:"status"`
	Messages    []struct {
		Seq uint64 `json:"seq"`
	} `json:"messages"`
	PresenceData []struct {
		UserID   string `json:"userId"`
		IsOnline bool   `json:"isOnline"`
	} `json:"presenceData"`
}

func (f frame) body(tb testing.TB) (b body) {
	tb.Helper()
	if err := json.Unmarshal(f.Data, &b); err != nil {
		tb.Fatalf("payload of %s: %v: %s", f.Event, err, f.Data)
	}
	return b
}

// client is a chat client on a real socket.
type client struct {
	w   *world
	nc  net.Conn
	ids uint64

	mu     sync.Mutex // guards the following
	frames []frame
	end    *ending
}

// ending is how a connection ended.
type ending struct {
	code   ws.StatusCode // 1006 without a close frame
	reason string
	err    error
}

// dial connects as user.
func (w *world) dial(user string) *client {
	w.tb.Helper()
	return w.dialToken(token(user, time.Hour))
}

func (w *world) dialToken(jwt string) *client {
	w.tb.Helper()
	c, err := w.tryDial(jwt)
	if err != nil {
		w.tb.Fatalf("dial: %v", err)
	}
	return c
}

// dialDeaf connects a client that never reads.
func (w *world) dialDeaf(user string) *client {
	w.tb.Helper()
	nc, _, err := w.upgrade(token(user, time.Hour))
	if err != nil {
		w.tb.Fatalf("dial: %v", err)
	}
	w.tb.Cleanup(func() { _ = nc.Close() })
	return &client{w: w, nc: nc}
}

func (w *world) upgrade(jwt string) (net.Conn, *bufio.Reader, error) {
	d := ws.Dialer{
		Timeout: eventually.Patience(), Protocols: []string{"confab.v1"},
		Header: ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + jwt}}), TLSConfig: w.tls,
	}
	scheme := "ws://"
	if w.tls != nil {
		scheme = "wss://"
	}
	nc, buf, hs, err := d.Dial(context.Background(), scheme+w.addr+"/ws")
	if err == nil && hs.Protocol != "confab.v1" {
		w.tb.Errorf("subprotocol %q", hs.Protocol)
	}
	return nc, buf, err
}

func (w *world) tryDial(jwt string) (*client, error) {
	nc, buf, err := w.upgrade(jwt)
	if err != nil {
		return nil, err
	}
	c := &client{w: w, nc: nc}
	var r io.Reader = nc
	if buf != nil {
		r = io.MultiReader(io.LimitReader(buf, int64(buf.Buffered())), nc)
	}
	done := make(chan struct{})
	go func() { defer close(done); c.read(bufio.NewReader(r)) }()
	w.tb.Cleanup(func() { _ = nc.Close(); <-done })
	return c, nil
}

// readFrame reads one frame of the server's, of at most a MiB.
func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	if f.Header.Length > 1<<20 {
		return f, fmt.Errorf("a frame of %d bytes", f.Header.Length)
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

func (c *client) read(r io.Reader) {
	for {
		f, err := readFrame(r)
		c.mu.Lock()
		switch {
		case err != nil:
			if c.end == nil {
				c.end = &ending{code: 1006, err: err}
			}
		case f.Header.OpCode == ws.OpClose:
			code, reason := ws.ParseCloseFrameData(f.Payload)
			c.end = &ending{code: code, reason: reason}
		case f.Header.OpCode == ws.OpText:
			var m frame
			if err := json.Unmarshal(f.Payload, &m); err != nil {
				c.w.tb.Errorf("frame %q: %v", f.Payload, err)
			}
			c.frames = append(c.frames, m)
		}
		c.mu.Unlock()
		if err != nil {
			return
		}
		if f.Header.OpCode == ws.OpClose { // answer, as a client must
			_ = ws.WriteFrame(c.nc, ws.MaskFrame(ws.NewCloseFrame(f.Payload)))
		}
	}
}

// write sends text as it is.
func (c *client) write(text string) {
	c.w.tb.Helper()
	if err := c.tryWrite(text); err != nil {
		c.w.tb.Errorf("write: %v", err)
	}
}

func (c *client) tryWrite(text string) error {
	return ws.WriteFrame(c.nc, ws.MaskFrame(ws.NewTextFrame([]byte(text))))
}

// say sends a request and returns its id. data is JSON.
func (c *client) say(event, data string) uint64 {
	c.w.tb.Helper()
	c.ids++
	c.write(fmt.Sprintf(`{"id":%d,"event":%q,"data":%s}`, c.ids, event, data))
	return c.ids
}

// sayAll sends n requests in one write, and returns their ids.
func (c *client) sayAll(event string, n int, data func(i int) string) (ids []uint64) {
	c.w.tb.Helper()
	var all []byte
	for i := range n {
		c.ids++
		ids = append(ids, c.ids)
		all = append(all, ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(fmt.Appendf(nil, `{"id":%d,"event":%q,"data":%s}`, c.ids, event, data(i)))))...)
	}
	if _, err := c.nc.Write(all); err != nil {
		c.w.tb.Fatal(err)
	}
	return ids
}

// ask sends a request and returns its reply.
func (c *client) ask(event, data string) frame {
	c.w.tb.Helper()
	return c.reply(c.say(event, data))
}

// reply waits for the reply to a request.
func (c *client) reply(id uint64) frame {
	c.w.tb.Helper()
	var got frame
	c.wait(fmt.Sprintf("reply to %d", id), func(all []frame) bool {
		for _, f := range all {
			if f.ID != nil && *f.ID == id {
				got = f
				return true
			}
		}
		return false
	})
	return got
}

// received returns everything that came so far.
func (c *client) received() []frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]frame(nil), c.frames...)
}

// wait returns when done accepts what has been received, and fails the test when the connection
// ends first.
func (c *client) wait(what string, done func([]frame) bool) {
	c.w.tb.Helper()
	if end := c.waitOrEnd(what, done); end != nil {
		c.w.tb.Fatalf("waiting for %s: the connection ended: %+v\nreceived %s", what, *end, names(c.received()))
	}
}

// waitOrEnd returns nil when done accepts what has been received, and how the connection ended
// when it ends first.
func (c *client) waitOrEnd(what string, done func([]frame) bool) (end *ending) {
	c.w.tb.Helper()
	eventually.True(c.w.tb, what, func() bool {
		c.mu.Lock()
		end = c.end // before the frames: all of them are there when the end is
		c.mu.Unlock()
		if done(c.received()) {
			end = nil
			return true
		}
		return end != nil
	}, func() any { return names(c.received()) + "\nlog:\n" + c.w.log.String() })
	return end
}

// event waits for the n-th server event of that name, from 1.
func (c *client) event(name string, n int) body {
	c.w.tb.Helper()
	var got frame
	c.wait(fmt.Sprint(name, " ", n), func(all []frame) bool {
		left := n
		for _, f := range all {
			if f.ID == nil && f.Event == name {
				if left--; left == 0 {
					got = f
					return true
				}
			}
		}
		return false
	})
	return got.body(c.w.tb)
}

// ended waits for the end of the connection.
func (c *client) ended() ending {
	c.w.tb.Helper()
	return *c.waitOrEnd("the end of the connection", func([]frame) bool { return false })
}

// join joins a room and fails the test when that is refused.
func (c *client) join(room string) body {
	c.w.tb.Helper()
	f := c.ask("joinRoom", fmt.Sprintf(`{"roomId":%q}`, room))
	if f.Event != "joinedRoom" {
		c.w.tb.Fatalf("joinRoom: %s %s", f.Event, f.Data)
	}
	return f.body(c.w.tb)
}

// seqs are the messages that came, in order, and gaps.
func seqs(tb testing.TB, all []frame) string {
	var list []string
	for _, f := range all {
		switch b := f.body(tb); {
		case f.Event == "receiveMessage":
			list = append(list, fmt.Sprint(b.Seq))
		case f.Event == "gap":
			list = append(list, fmt.Sprintf("gap%d-%d", b.From, b.To))
		}
	}
	return strings.Join(list, " ")
}

func names(all []frame) string {
	var list []string
	for _, f := range all {
		name := f.Event
		if f.ID != nil {
			name += fmt.Sprintf("#%d", *f.ID)
		}
		list = append(list, name)
	}
	return strings.Join(list, " ")
}
