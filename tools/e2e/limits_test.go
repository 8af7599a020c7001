package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/code"
)

// TestLimits runs with the limits of CONFAB_ENV=test: 10 messages, 5 joins, 20
// Typing events a minute.
func TestLimits(t *testing.T) {
	run(t, map[string]func(*scene){
		"messages":     limitMessages,
		"repeats":      limitRepeats,
		"joins":        limitJoins,
		"typing":       limitTyping,
		"default room": defaultRoom,
		"silent":       silentConnection,
		"ping":         pingEvent,
		"many at once": limitAtOnce,
		"connections":  limitConnections,
		"health's numbers": func(sc *scene) {
			sc.becomes("http://"+sc.s.Edge+"/websocket/health", 200, `{"status":"healthy","timestamp":"<time>",`+
				`"websocket":{"namespace":"/chat","corsOrigin":"*","connectedUsers":"<n>","activeRooms":"<n>","totalTypingUsers":"<n>"},`+
				`"features":{"detailedLogging":"<any>","metrics":true,"heartbeat":true},`+
				`"rateLimits":{"windowMs":60000,"maxMessagesPerWindow":10,"maxJoinsPerWindow":5,"maxTypingEventsPerWindow":20},`+
				`"services":"<any>","complete":true,"notes":"<any>"}`)
		},
	}, "CONFAB_ENV=test", "CONFAB_DEFAULT_ROOM=lobby", "CONFAB_PRESENCE_SCOPE=rooms", "CONFAB_HEARTBEAT_INTERVAL=2s",
		"CONFAB_LIMIT_CONNECTIONS_PER_USER=8", "CONFAB_EDGE_PERMIT_TIMEOUT=4s")
}

// home returns a connection that has received its join of the default room, and ignores
// later events of that room.
func (sc *scene) home(user string) *conn {
	sc.Helper()
	c := sc.conn(user)
	c.only = "nothing"
	c.want("roomUsers")
	return c
}

// limited checks a refusal: the first of those that count was at start or later,
// so that a place is free a minute after that.
func (c *conn) limited(start time.Time, request string) {
	c.t.Helper()
	f := c.refused(code.RateLimited, request)
	c.inTime(start, int64(f.seq("retryAfterMs")))
}

func (c *conn) inTime(start time.Time, retryMs int64) {
	c.t.Helper()
	elapsed := time.Since(start).Milliseconds()
	if retryMs > 60000 || retryMs < 60000-elapsed-1 {
		c.t.Errorf("%s: retry after %d ms, %d ms after the first", c.user, retryMs, elapsed)
	}
}

func limitMessages(sc *scene) {
	ann, bob := sc.home("ann"), sc.home("bob")
	for _, c := range []*conn{ann, bob} {
		c.join("#r")
	}
	ann.want("userJoined")
	start := time.Now()
	for i := range 10 {
		ann.says("#r", fmt.Sprint("text ", i+1), i+1, bob)
	}
	ann.limited(start, `sendMessage {"roomId":"#r","content":"one too many"}`)
	// Over every connection of the user, also a new one; not for another user.
	ann2 := sc.home("ann")
	ann2.join("#r")
	ann2.limited(start, `sendMessage {"roomId":"#r","content":"one too many"}`)
	ann.drop()
	ann3 := sc.home("ann")
	ann3.join("#r")
	ann3.limited(start, `sendMessage {"roomId":"#r","content":"one too many","clientMessageId":"c"}`)
	bob.says("#r", "bob may", 11, ann2, ann3)
	bob.do(`getHistory {"roomId":"#r"}`)
	if f := bob.want("re history"); strings.Contains(string(f.Data), "too many") {
		sc.Errorf("what was refused is stored: %s", f)
	}
}

// limitRepeats repeats stored messages, which costs nothing: below the limit and above it.
func limitRepeats(sc *scene) {
	ann := sc.home("ann")
	ann.join("#r")
	send := func(i int) string {
		return fmt.Sprintf(`sendMessage {"roomId":"#r","content":"text %d","clientMessageId":"c%d"}`, i, i)
	}
	repeat := func(c *conn, i int) {
		c.do(send(i))
		c.want(`re messageSent {"success":true,"duplicate":true,"message":"<any>"}`)
	}
	start := time.Now()
	for i := range 10 {
		ann.do(send(i))
		ann.wantAll("re messageSent", "receiveMessage")
		repeat(ann, 0)
	}
	ann.limited(start, send(10))
	for i := range 10 {
		repeat(ann, i)
	}
	other := sc.home("ann")
	other.join("#r")
	repeat(other, 5)
	other.limited(start, send(11))
	// A hundred are looked up in a minute; a client that needs more waits like any other.
	for range 99 - 11 {
		repeat(ann, 1)
	}
	ann.limited(start, send(1))
}

func limitJoins(sc *scene) {
	ann := sc.home("ann")
	start := time.Now()
	for i := range 5 {
		ann.join(fmt.Sprintf("#r%d", i%2)) // a repeated one counts too
	}
	ann.limited(start, `joinRoom {"roomId":"#r3"}`)
	ann.limited(start, `joinRoom {"roomId":"#r0"}`)
	other := sc.home("ann")
	other.limited(start, `joinRoom {"roomId":"#r3"}`)
	// Resuming has a limit of its own.
	for i := range 100 {
		other.do(fmt.Sprintf(`joinRoom {"roomId":"#r%d","since":0}`, i%2))
		other.want("re joinedRoom", "roomUsers")
	}
	other.limited(start, `joinRoom {"roomId":"#r0","since":0}`)
}

func limitTyping(sc *scene) {
	ann, bob := sc.home("ann"), sc.home("bob")
	for _, c := range []*conn{ann, bob} {
		c.join("#r")
	}
	ann.want("userJoined")
	start := time.Now()
	for i := range 20 {
		ann.do(fmt.Sprintf(`typing {"roomId":"#r","isTyping":%t}`, i%2 == 0))
		ann.want(typed)
		bob.want(types("ann", "#r", i%2 == 0))
	}
	ann.do(`typing {"roomId":"#r","isTyping":true}`)
	f := ann.want(`re typingUpdated {"success":false,"timestamp":"<time>","retryAfterMs":"<ms>"}`)
	ann.inTime(start, int64(f.seq("retryAfterMs")))
	ann.says("#r", "nothing else happened", 1, bob)
}

// limitAtOnce sends ten times the limit over several connections without waiting.
func limitAtOnce(sc *scene) {
	var conns []*conn
	for range 3 {
		c := sc.home("ann")
		c.join("#r")
		conns = append(conns, c)
	}
	const each = 33
	for i := range each {
		for _, c := range conns {
			c.do(fmt.Sprintf(`sendMessage {"roomId":"#r","content":"text %d"}`, i))
		}
	}
	stored := 0
	for _, c := range conns {
		for replies := 0; replies < each; {
			switch f := c.next(); {
			case f.Event == "messageSent":
				stored++
				replies++
			case f.Event == "error" && f.text("error") == "RATE_LIMITED":
				replies++
			case f.Event != "receiveMessage":
				sc.Fatalf("unexpected %s", f)
			}
		}
	}
	if stored != 10 {
		sc.Errorf("%d messages were accepted", stored)
	}
}

// defaultRoom: every connection is in it, and that costs nothing.
func defaultRoom(sc *scene) {
	ann := sc.home("ann")
	ann.only = sc.tag
	for range 6 {
		c := sc.home("bob")
		c.do("heartbeat")
		c.want("re heartbeatResponse")
		c.drop()
	}
	ann.want(joins("bob", "lobby"))
	bob := sc.home("bob")
	bob.only = sc.tag
	bob.join("#r")
	ann.do(`sendMessage {"roomId":"lobby","content":"welcome #r"}`)
	ann.wantAll("re messageSent", "receiveMessage")
	bob.want("receiveMessage")
}

// silentConnection: two intervals without any byte are the end; a pong is a byte.
func silentConnection(sc *scene) {
	reader := sc.home("ann") // answers WebSocket pings and says nothing
	reader.only = sc.tag
	mute := sc.connOpts("bob", options{mute: true})
	mute.only = sc.tag
	reader.want("userJoined")
	mute.want("roomUsers", "close 4002")
	reader.want(leftRoom("bob", "lobby"))
	reader.do("heartbeat")
	reader.want("re heartbeatResponse")
}

func pingEvent(sc *scene) {
	ann := sc.connOpts("ann", options{pings: true})
	ann.only = sc.tag
	ann.want("roomUsers", `ping {"timestamp":"<time>"}`)
	ann.do("heartbeat")
	ann.want("re heartbeatResponse", `ping {"timestamp":"<time>"}`)
}

// limitConnections: the ninth connection of a user is one too many.
func limitConnections(sc *scene) {
	for range 8 {
		sc.home("ann")
	}
	ninth := sc.conn("ann")
	for {
		f := ninth.next()
		if f.Event == "close" {
			if string(f.Data) != "4504" {
				sc.Errorf("closed with %s", f.Data)
			}
			return
		}
		if f.Event != "roomUsers" {
			sc.Fatalf("unexpected %s", f)
		}
	}
}
