package namespace_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/codec/sio"
	"github.com/confab-chat/confab/services/edge/internal/socketio/engine"
	"github.com/confab-chat/confab/services/edge/internal/socketio/namespace"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn/conntest"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// fixture is a connection of bare namespaces on a loop that the test turns. There is
// also a namespace of the contract, whose verifier knows no token.
type fixture struct {
	now   time.Time
	loop  *poll.Loop
	stats conn.Stats
	wire  *conntest.Transport
}

func newFixture(tb testing.TB) *fixture {
	s := &fixture{now: time.Unix(1_700_000_000, 0)}
	s.loop = poll.NewManual(s.now, time.Second)
	spaces := namespace.New(namespace.Options{ConnectTimeout: 45 * time.Second, Namespaces: []namespace.Namespace{
		{Codec: sio.Codec{Namespace: "/"}, Bare: true, Echo: true},
		{Codec: sio.Codec{Namespace: "/custom"}, Bare: true},
		{Codec: sio.Codec{Namespace: "/chat"}},
	}, Verifier: noToken{}})
	server := engine.New(engine.Options{
		Path: "/socket.io/", Loops: []*poll.Loop{s.loop}, Open: spaces.Open,
		PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second, Heartbeat: 30 * time.Second, MaxPayload: 1 << 20,
	})
	handler, err := server.Gate(s.loop, "EIO=4&transport=websocket", "")
	if err != nil {
		tb.Fatal(err)
	}
	set := conn.NewFactory(s.loop, conn.Options{Heartbeat: -1}, &s.stats)
	s.wire = conntest.New(s.loop)
	set.Open(s.wire, handler, nil, nil)
	s.turn(0)
	return s
}

// noToken implements auth.Verifier.
type noToken struct{}

func (noToken) Verify(string) (auth.Identity, error) {
	return auth.Identity{}, code.New(code.TokenExpired, "the token has expired")
}

func (s *fixture) turn(d time.Duration) {
	s.now = s.now.Add(d)
	s.loop.Turn(s.now)
}

// say plays a frame of the client. It returns false when the connection has ended.
func (s *fixture) say(tb testing.TB, op ws.OpCode, payload string) bool {
	if s.wire.Closed || s.wire.WriteEnded {
		return false
	}
	s.wire.Receive(tb, conntest.ClientFrame(true, op, payload))
	s.turn(0)
	return true
}

// No sequence of packets makes the server panic, or keep a client that answers no ping.
func FuzzClient(f *testing.F) {
	for _, s := range []string{
		"40\x0042[\"message\",1]\x0041", "40/custom,\x0042/custom,[\"message\"]\x0041/custom", "40/x\x00400",
		"40\x00451-[\"message\",{\"_placeholder\":true,\"num\":0}]\x00b123",
		"40\x00452-7[\"message-with-ack\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]\x00b1\x00b2",
		"40\x00461-5[{\"_placeholder\":true,\"num\":0}]\x00b1", "40\x0040", "2\x003\x006\x005\x001", "40{\"token\":1}\x0043",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s := newFixture(t)
		for packet := range bytes.SplitSeq(in, []byte{0}) {
			op := ws.OpText
			if len(packet) > 0 && packet[0] == 'b' {
				op = ws.OpBinary
			}
			if op == ws.OpText && !utf8.Valid(packet) {
				continue
			}
			if !s.say(t, op, string(packet)) {
				break
			}
		}
		s.turn(10 * time.Millisecond) // the auth event
		s.turn(time.Minute)           // the ping, and its timeout
		s.turn(time.Minute)
		s.turn(time.Minute)
		if n := s.stats.Panics.Load(); n > 0 {
			t.Fatalf("%d panics", n)
		}
		if !s.wire.Closed {
			t.Error("a client that answers no ping stays")
		}
	})
}

// connect returns a fixture that has joined the namespaces and received their answers.
func connect(t *testing.T, packets ...string) *fixture {
	s := newFixture(t)
	for _, p := range packets {
		s.say(t, ws.OpText, p)
	}
	s.turn(5 * time.Millisecond) // the auth event
	s.wire.TakeFrames(t)
	return s
}

// received returns what came since the last call: packets without sids, binary data after a
// b, and close frames.
func (s *fixture) received(t *testing.T) string {
	t.Helper()
	var all []string
	for _, f := range s.wire.TakeFrames(t) {
		switch f.Op {
		case ws.OpClose:
			status, _, _ := ws.ParseClose([]byte(f.Payload))
			all = append(all, fmt.Sprint("close ", status))
		case ws.OpBinary:
			all = append(all, "b"+f.Payload)
		default:
			all = append(all, sids.ReplaceAllString(f.Payload, `"sid":"*"`))
		}
	}
	return strings.Join(all, " ")
}

var sids = regexp.MustCompile(`"sid":"[^"]+"`)

// What a client that has joined / and /custom sends, and receives.
func TestConversation(t *testing.T) {
	t.Parallel()
	const first, second = `{"_placeholder":true,"num":0}`, `{"_placeholder":true,"num":1}`
	const invalid = "close 1008"
	for name, c := range map[string]struct {
		say  []string // binary data after a b
		want string
	}{
		"event":             {[]string{`42["message",1,{"a":2}]`}, `42["message-back",1,{"a":2}]`},
		"event with ack":    {[]string{`427["message-with-ack",1,"x"]`}, `437[1,"x"]`},
		"no arguments":      {[]string{`427["message-with-ack"]`}, `437[]`},
		"other event":       {[]string{`42["other"]`}, ``},
		"without echo":      {[]string{`42/custom,["message",1]`}, ``},
		"attachments":       {[]string{`452-["message",` + first + `,` + second + `]`, "bx", "by"}, `452-["message-back",` + first + `,` + second + `] bx by`},
		"attachment, ack":   {[]string{`451-7["message-with-ack",` + first + `]`, "bx"}, `461-7[` + first + `] bx`},
		"acknowledgements":  {[]string{`435["x"]`, `461-5[` + first + `]`, "bx", `42["message"]`}, `42["message-back"]`},
		"unknown namespace": {[]string{`40/nope,`, `42["message"]`}, `44/nope,{"message":"Invalid namespace"} 42["message-back"]`},
		"leave and rejoin":  {[]string{`41/custom,`, `40/custom,`, `42["message"]`}, `40/custom,{"sid":"*"} 42["message-back"]`},

		"second CONNECT":        {[]string{`40`}, invalid},
		"after leaving":         {[]string{`41/custom,`, `42/custom,["message"]`}, invalid},
		"not joined":            {[]string{`42/chat,["message"]`}, invalid},
		"malformed packet":      {[]string{`49`}, invalid},
		"malformed ack":         {[]string{`4313[`}, invalid},
		"connect error":         {[]string{`44{"message":"x"}`}, invalid},
		"malformed event":       {[]string{`42["message",]`}, invalid},
		"reserved event":        {[]string{`42["disconnect"]`}, invalid},
		"unexpected attachment": {[]string{"bx"}, invalid},
		"missing attachment":    {[]string{`452-["message",` + first + `,` + second + `]`, "bx", `42["message"]`}, invalid},
		"wrong placeholder":     {[]string{`451-["message",` + second + `]`}, invalid},
		"too many attachments":  {[]string{`4511-["message",` + first + `]`}, invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := connect(t, `40`, `40/custom,`)
			for _, packet := range c.say {
				op := ws.OpText
				if data, binary := strings.CutPrefix(packet, "b"); binary {
					op, packet = ws.OpBinary, data
				}
				s.say(t, op, packet)
			}
			if got := s.received(t); got != c.want {
				t.Errorf("received %q, want %q", got, c.want)
			}
		})
	}
}

// A client that joins no namespace in time is disconnected; refusals do not count.
func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	for join, want := range map[string]string{"": "close 1008", `40/nope,`: "close 1008", `40`: ""} {
		s := newFixture(t)
		if join != "" {
			s.say(t, ws.OpText, join)
		}
		s.turn(20 * time.Second) // before the ping
		s.received(t)
		s.say(t, ws.OpText, "3")
		s.turn(24 * time.Second)
		if got := s.received(t); got != "2" {
			t.Errorf("%q before the timeout: %s", join, got)
		}
		s.say(t, ws.OpText, "3")
		s.turn(time.Second)
		if got := s.received(t); got != want {
			t.Errorf("%q after the timeout: %q", join, got)
		}
	}
}

// A refused client is sent the contract's error object, and may try again, but not for
// ever.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := connect(t, `40`)
	for packet, want := range map[string]string{
		`40/chat,`:              `44/chat,{"message":"a token is required","data":{"success":false,"error":"UNAUTHORIZED",`,
		`40/chat,{"token":[1]}`: `44/chat,{"message":"a token is required","data":{"success":false,"error":"UNAUTHORIZED",`,
		`40/chat,{"token":"t"}`: `44/chat,{"message":"the token has expired","data":{"success":false,"error":"TOKEN_EXPIRED",`,
	} {
		s.say(t, ws.OpText, packet)
		if got := s.received(t); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", packet, got)
		}
	}
	for range 12 {
		s.say(t, ws.OpText, `40/nope,`)
	}
	if got := s.received(t); strings.Contains(got, "close") {
		t.Errorf("closed after 15 refusals: %s", got)
	}
	s.say(t, ws.OpText, `40/nope,`)
	if got := s.received(t); !strings.HasSuffix(got, " close 1008") {
		t.Errorf("after 16 refusals: %s", got)
	}
}

// The conformance mode sends the auth payload back.
func TestAuthEvent(t *testing.T) {
	t.Parallel()
	for say, want := range map[string]string{
		`40`:              `42["auth",{}]`,
		`40{"a":[1,"€"]}`: `42["auth",{"a":[1,"€"]}]`,
		`40/custom,`:      `42/custom,["auth",{}]`,
		`40/nope`:         `44/nope,{"message":"Invalid namespace"}`,
	} {
		s := newFixture(t)
		s.say(t, ws.OpText, say)
		s.turn(5 * time.Millisecond)
		frames := s.wire.TakeFrames(t)
		if last := frames[len(frames)-1]; last.Payload != want {
			t.Errorf("%s: %v", say, frames)
		}
	}
}
