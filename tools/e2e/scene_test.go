package e2e_test

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/shared/devtoken"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/tools/internal/suitetest"
)

// scene is one test in a suite that it shares with others: its users and rooms are
// its own. In requests and patterns @name is a user's id and #name a room's.
type scene struct {
	*testing.T
	s      *suitetest.Suite
	tag    string
	secret []byte
}

// run starts one suite and runs the tests in it, side by side.
func run(t *testing.T, tests map[string]func(*scene), env ...string) {
	t.Helper()
	t.Parallel()
	s := suitetest.Start(t, env...)
	settle(t, s)
	secret, err := devtoken.Secret(s.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newScene(t, s, secret))
		})
	}
}

// settle waits until every shard has its owner. Before that limits are the edge's
// own, lower ones.
func settle(t *testing.T, s *suitetest.Suite) {
	t.Helper()
	sc := newScene(t, s, nil)
	sc.poll(func() error {
		_, body := sc.fetch(http.MethodGet, "http://"+s.Monitor+"/websocket/stats", "")
		var stats struct {
			Instances []struct{ Room, Limit struct{ Shards []int } }
		}
		if err := json.Unmarshal([]byte(body), &stats); err != nil {
			return err
		}
		rooms, limits := 0, 0
		for _, in := range stats.Instances {
			rooms, limits = rooms+len(in.Room.Shards), limits+len(in.Limit.Shards)
		}
		if rooms != subject.Shards || limits != subject.Shards {
			return fmt.Errorf("%d shards of room and %d of ratelimit have owners", rooms, limits)
		}
		return nil
	})
}

// poll calls ask until it returns nil.
func (sc *scene) poll(ask func() error) {
	sc.Helper()
	eventually.OK(sc, "what the test asks for", ask)
}

func newScene(t *testing.T, s *suitetest.Suite, secret []byte) *scene {
	return &scene{T: t, s: s, tag: strings.ToLower(rand.Text()[:6]), secret: secret}
}

var marked = regexp.MustCompile(`[@#]([a-z]+[0-9]*)\b`)

func (sc *scene) expand(text string) string { return marked.ReplaceAllString(text, "$1-"+sc.tag) }

// id is the id of a user or a room of the scene.
func (sc *scene) id(name string) string { return name + "-" + sc.tag }

// token is a user's: the name shown is the short one in capitals.
func (sc *scene) token(user string, ttl time.Duration) string {
	return devtoken.Mint(sc.secret, sc.id(user), strings.ToUpper(user), time.Now(), ttl)
}

// conn opens a connection of a user.
func (sc *scene) conn(user string) *conn { sc.Helper(); return sc.connOpts(user, options{}) }

func (sc *scene) connOpts(user string, o options) *conn {
	sc.Helper()
	c, resp := sc.upgrade(user, o, handshake{header: []string{"Authorization: Bearer " + sc.token(user, time.Hour)}})
	if c == nil {
		sc.Fatalf("%s: %s", user, resp.Status)
	}
	return c
}

// handshake is what an upgrade request carries.
type handshake struct {
	query  string
	header []string
	early  []byte // sent in one write with the request
}

// upgrade asks for a WebSocket. The connection is nil when it was refused; the
// response's body is closed then, and its text in the status line's place.
func (sc *scene) upgrade(user string, o options, h handshake) (*conn, *http.Response) {
	sc.Helper()
	nc, err := net.Dial("tcp", sc.s.Edge)
	if err != nil {
		sc.Fatal(err)
	}
	lines := append([]string{
		"GET /ws" + h.query + " HTTP/1.1", "Host: " + sc.s.Edge, "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}, h.header...)
	if _, err := nc.Write(append([]byte(strings.Join(lines, "\r\n")+"\r\n\r\n"), h.early...)); err != nil {
		sc.Fatal(err)
	}
	if err := nc.SetReadDeadline(time.Now().Add(eventually.Patience())); err != nil {
		sc.Fatal(err)
	}
	r := bufio.NewReader(nc)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		sc.Fatalf("upgrade: %v", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		sc.Cleanup(func() { resp.Body.Close(); nc.Close() })
		return nil, resp
	}
	if err := nc.SetReadDeadline(time.Time{}); err != nil {
		sc.Fatal(err)
	}
	return newConn(sc, user, nc, r, o), resp
}

// join joins a room and takes the two frames that answer it.
func (c *conn) join(room string) frame {
	c.t.Helper()
	c.do(`joinRoom {"roomId":"` + room + `"}`)
	reply := c.want("re joinedRoom")
	c.want("roomUsers")
	return reply
}

// gather opens a connection for each user; all join the room and see each other do it.
func (sc *scene) gather(room string, users ...string) []*conn {
	sc.Helper()
	var all []*conn
	for _, user := range users {
		c := sc.conn(user)
		c.join(room)
		for _, earlier := range all {
			earlier.want(fmt.Sprintf(`userJoined {"userId":"@%s","username":%q,"roomId":%q,"timestamp":"<time>"}`, user, strings.ToUpper(user), room))
		}
		all = append(all, c)
	}
	return all
}

// message is the pattern of a message.
func message(user, room, content string, seq int) string {
	text, err := json.Marshal(content)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"id":"<text>","content":%s,"author":{"id":"@%s","username":%q},"roomId":%q,"messageType":"TEXT","seq":%d,`+
		`"timestamp":"<time>","createdAt":"<time>","updatedAt":"<time>"}`, text, user, strings.ToUpper(user), room, seq)
}

func sent(user, room, content string, seq int) string {
	return `re messageSent {"message":` + message(user, room, content, seq) + `,"success":true}`
}

func received(user, room, content string, seq int) string {
	return "receiveMessage " + message(user, room, content, seq)
}

// says sends a text that must be stored with that seq and delivered to all of others.
func (c *conn) says(room, content string, seq int, others ...*conn) frame {
	c.t.Helper()
	text, err := json.Marshal(content)
	if err != nil {
		c.t.Fatal(err)
	}
	c.do(fmt.Sprintf(`sendMessage {"roomId":%q,"content":%s}`, room, text))
	got := c.wantAll(sent(c.user, room, content, seq), received(c.user, room, content, seq))
	for _, other := range others {
		other.want(received(c.user, room, content, seq))
	}
	return got[1]
}

// failure is the data of an error.
func failure(k code.Code, event string) string {
	named := ""
	if event != "" {
		named = fmt.Sprintf(`"event":%q,`, event)
	}
	if k == code.RateLimited {
		named += `"retryAfterMs":"<ms>",`
	}
	return fmt.Sprintf(`{"success":false,"error":%q,"message":"<text>","statusCode":%d,"timestamp":"<time>",%s"ref":"<text>"}`, k, k.Status(), named)
}

// refused sends a request that must be answered with that code.
func (c *conn) refused(k code.Code, request string) frame {
	c.t.Helper()
	event, _, _ := strings.Cut(request, " ")
	c.do(request)
	f := c.next()
	if err := c.differs("re error "+failure(k, event), f); err != nil {
		c.t.Fatalf("%s: %s\nwant %s: %v\n got %s", c.user, c.sc.expand(request), k, err, f)
	}
	return f
}
