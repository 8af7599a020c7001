package sioclient_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/confab-chat/confab/tools/internal/suitetest"
	"github.com/confab-chat/confab/tools/sioclient"
)

// object has the members of all payloads that tests check.
type object struct {
	Success    bool
	Error      string
	Event      string
	RoomID     string
	UserID     string
	Content    string
	Seq        uint64
	StatusCode int
	Message    any
	Data       *object
	Recovered  bool
	Transport  string
	Reason     string
	Total      int
}

// transports are the choices of transports. The library's default is long-polling with
// an upgrade to WebSocket.
func transports() map[string][]string {
	return map[string][]string{"default": nil, "websocket": {"websocket"}, "polling": {"polling"}}
}

func options(token string, only []string) map[string]any {
	opts := map[string]any{"auth": map[string]any{"token": token}}
	if only != nil {
		opts["transports"] = only
	}
	return opts
}

// The contract, with each library and each choice of transports.
func TestContract(t *testing.T) {
	sioclient.Need(t)
	s := suitetest.Start(t, "CONFAB_LIMIT_MESSAGES=0", "CONFAB_LIMIT_JOINS=0", "CONFAB_LIMIT_TYPING=0")
	for _, library := range sioclient.Libraries() {
		for name, only := range transports() {
			t.Run(library+"/"+name, func(t *testing.T) {
				room := library + "-" + name
				contract(t, sioclient.Start(t, library), "http://"+s.Edge, room,
					options(s.Token(t, "ann-"+name), only), options(s.Token(t, "bob-"+name), only))
			})
		}
	}
}

func contract(t *testing.T, n *sioclient.Node, base, room string, ann, bob map[string]any) {
	var o object
	a, b := n.Open(base+"/chat", ann), n.Open(base+"/chat", bob)
	a.Wait("connect", 1, &o)
	b.Wait("connect", 1, &o)
	join := map[string]any{"roomId": room}
	if a.Ask(&o, "joinRoom", join); !o.Success || o.RoomID != room || o.Event != "joinedRoom" {
		t.Errorf("joinRoom: %+v", o)
	}
	b.Emit("joinRoom", join)
	b.Wait("joinedRoom", 1, &o)
	if b.Wait("roomUsers", 1, &o); o.Total != 2 {
		t.Errorf("roomUsers: %+v", o)
	}
	a.Wait("userJoined", 1, &o)
	for i := range 5 {
		if a.Ask(&o, "sendMessage", map[string]any{"roomId": room, "content": "<hi>"}); !o.Success {
			t.Errorf("sendMessage: %+v", o)
		}
		if b.Wait("receiveMessage", i+1, &o); o.Content != "&lt;hi&gt;" || o.Seq != uint64(i+1) {
			t.Errorf("receiveMessage: %+v", o)
		}
	}
	a.Emit("typing", map[string]any{"roomId": room, "isTyping": true})
	b.Wait("userTyping", 1, &o)
	a.Emit("heartbeat")
	a.Wait("heartbeatResponse", 1, &o)
	a.Emit("sendMessage", map[string]any{"roomId": "elsewhere", "content": "x"})
	if a.Wait("error", 1, &o); o.Error != "NOT_IN_ROOM" || o.StatusCode != 403 {
		t.Errorf("error: %+v", o)
	}
	b.Disconnect()
	if a.Wait("userLeft", 1, &o); o.RoomID != room {
		t.Errorf("userLeft: %+v", o)
	}
	if b.Wait("disconnect", 1, &o); o.Reason != "io client disconnect" {
		t.Errorf("disconnect: %+v", o)
	}
	if ann["transports"] == nil {
		if a.Wait("upgrade", 1, &o); o.Transport != "websocket" {
			t.Errorf("upgrade: %+v", o)
		}
	}
}

// A refused client is sent the reason, and one that must not reconnect does not.
func TestRefused(t *testing.T) {
	sioclient.Need(t)
	s := suitetest.Start(t)
	for _, library := range sioclient.Libraries() {
		n := sioclient.Start(t, library)
		var o object
		if n.Open("http://"+s.Edge+"/chat", options("nonsense", nil)).Wait("connect_error", 1, &o); o.Data == nil || o.Data.Error != "UNAUTHORIZED" {
			t.Errorf("bad token: %+v", o)
		}
		if n.Open("http://"+s.Edge+"/nope", options("", nil)).Wait("connect_error", 1, &o); o.Message != "Invalid namespace" {
			t.Errorf("namespace: %+v", o)
		}
		a := n.Open("http://"+s.Edge+"/", options(s.Token(t, "ann"), []string{"websocket"}))
		a.Wait("connect", 1, &o)
		a.Emit("refreshToken", map[string]any{"token": s.Token(t, "somebody-else")})
		if a.Wait("disconnect", 1, &o); o.Reason != "io server disconnect" {
			t.Errorf("disconnect: %+v", o)
		}
	}
}

// The example of the original's documentation.
func TestExample(t *testing.T) {
	sioclient.Need(t)
	for name, only := range transports() {
		s := suitetest.Start(t, "CONFAB_HEARTBEAT_INTERVAL=1s")
		args := append([]string{"http://" + s.Edge, s.Token(t, "alice")}, only...)
		if failure := sioclient.Example(t, args...); failure != "" {
			t.Errorf("%s: %s", name, failure)
		}
	}
}

// A client in another language. It is not tested over long-polling alone, where it does
// not send while it polls. It sometimes opens no connection at all, so it is started again.
func TestGoClient(t *testing.T) {
	sioclient.Need(t)
	s := suitetest.Start(t)
	bin := filepath.Join(t.TempDir(), "goclient")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Dir, build.Env = "goclient", append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, only := range [][]string{nil, {"websocket"}} {
		args := append([]string{"http://" + s.Edge, s.Token(t, "gopher"), "go-" + strings.Join(only, "")}, only...)
		for attempt := 1; ; attempt++ {
			out, err := exec.Command(bin, args...).CombinedOutput()
			if err == nil {
				break
			}
			if attempt == 3 {
				t.Errorf("transports %v: %v\n%s", only, err, out)
				break
			}
		}
	}
}

// The server restarts on the same port. Clients reconnect and join from the last message
// that they received, and nothing is missing.
func TestServerRestarts(t *testing.T) {
	sioclient.Need(t)
	for name, only := range transports() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			first := suitetest.StartIn(t, dir)
			n := sioclient.Start(t, sioclient.Libraries()[0])
			var o object
			a := n.Open("http://"+first.Edge+"/chat", options(first.Token(t, "ann"), only))
			a.Wait("connect", 1, &o)
			a.Ask(&o, "joinRoom", map[string]any{"roomId": "r"})
			a.Ask(&o, "sendMessage", map[string]any{"roomId": "r", "content": "one"})
			a.Wait("receiveMessage", 1, &o)
			if err := first.Stop(); err != nil {
				t.Fatal(err)
			}
			a.Wait("reconnectSoon", 1, &o)
			if a.Wait("disconnect", 1, &o); o.Reason != "transport close" {
				t.Errorf("disconnect: %+v", o)
			}
			second := suitetest.StartIn(t, dir, "CONFAB_EDGE_ADDR="+first.Edge)
			if a.Wait("connect", 2, &o); o.Recovered {
				t.Errorf("recovered without the edge that knew: %+v", o)
			}
			a.Ask(&o, "joinRoom", map[string]any{"roomId": "r", "since": 1})
			if !o.Success || !o.Recovered {
				t.Errorf("joinRoom: %+v", o)
			}
			a.Ask(&o, "sendMessage", map[string]any{"roomId": "r", "content": "two"})
			a.Wait("receiveMessage", 2, &o)
			if o.Seq != 2 || len(a.Heard("receiveMessage")) != 2 {
				t.Errorf("heard %v", a.Heard("receiveMessage"))
			}
			_ = second
		})
	}
}
