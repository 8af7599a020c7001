package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/shared/devtoken"
	"github.com/confab-chat/confab/tools/internal/suitetest"
)

// TestLife is one suite from its start over its drain to its next start. It has no other
// users, so that its numbers can be compared.
func TestLife(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := suitetest.StartIn(t, dir, "CONFAB_LIMIT_MESSAGES=3", "CONFAB_EDGE_PERMIT_TIMEOUT=4s")
	settle(t, first)
	secret, err := devtoken.Secret(dir)
	if err != nil {
		t.Fatal(err)
	}
	sc := newScene(t, first, secret)

	// Two users, three messages, one refusal, one connection that has gone.
	all := sc.gather("#r", "ann", "bob")
	ann, bob := all[0], all[1]
	gone := sc.conn("carol")
	gone.bye(ws.StatusNormalClosure)
	var last frame
	for i := range 3 {
		last = ann.says("#r", fmt.Sprint("text ", i+1), i+1, bob)
	}
	ann.refused(code.RateLimited, `sendMessage {"roomId":"#r","content":"x"}`)
	sc.numbers()
	sc.labels("ann", "bob", "r")

	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		c.want(`reconnectSoon {"reason":"<text>","afterMs":"<n>"}`, "close 1012")
	}

	// Everything that was acknowledged is there, and seq goes on. Bob's departure is not
	// announced before the grace of a drain has passed, which the restart does not shorten. The
	// address may be another one: nothing depends on the old port.
	second := suitetest.StartIn(t, dir, "CONFAB_LIMIT_MESSAGES=3", "CONFAB_EDGE_PERMIT_TIMEOUT=4s")
	settle(t, second)
	sc = &scene{T: t, s: second, tag: sc.tag, secret: secret}
	ann = sc.conn("ann")
	ann.do(`joinRoom {"roomId":"#r","since":2}`)
	ann.want(`re joinedRoom {"roomId":"#r","success":true,"activeUsers":["@ann","@bob"],"seq":3,"recovered":true,"timestamp":"<time>"}`, "roomUsers",
		"receiveMessage "+string(last.Data))
	ann.says("#r", "after the restart", 4)
	ann.do(`getRoomStats {"roomId":"#r"}`)
	if f := ann.want("re roomStatsRetrieved", "roomStats"); f.text("createdAt") > last.text("timestamp") {
		t.Errorf("the room's creation is forgotten: %s", f)
	}
}

// numbers compares health and statistics, through both ports.
func (sc *scene) numbers() {
	sc.Helper()
	const service = `{"service":"%s","instance":"<text>","status":"ok","lastSeen":"<time>","version":"test"}`
	var services []string
	for _, name := range []string{"edge", "room", "ratelimit", "monitor"} {
		services = append(services, fmt.Sprintf(service, name))
	}
	for _, base := range []string{sc.s.Edge, sc.s.Monitor} {
		sc.becomes("http://"+base+"/websocket/health", http.StatusOK, `{"status":"healthy","timestamp":"<time>",`+
			`"websocket":{"namespace":"/chat","corsOrigin":"*","connectedUsers":2,"activeRooms":1,"totalTypingUsers":0},`+
			`"features":{"detailedLogging":true,"metrics":true,"heartbeat":true},`+
			`"rateLimits":{"windowMs":60000,"maxMessagesPerWindow":3,"maxJoinsPerWindow":20,"maxTypingEventsPerWindow":120},`+
			`"services":[`+strings.Join(services, ",")+`],"complete":true,"notes":[]}`)
		sc.becomes("http://"+base+"/websocket/stats", http.StatusOK, `{"timestamp":"<time>",`+
			`"connections":{"current":2,"total":3,"totalDisconnections":1},`+
			`"rooms":{"active":1,"totalCreated":1,"details":[{"roomId":"#r","userCount":2,"typingUsers":0,"createdAt":"<time>","lastActivity":"<time>"}]},`+
			`"messages":{"totalProcessed":3},"rateLimiting":{"violations":1},`+
			`"instances":["<any>","<any>","<any>","<any>"],"rates":"<any>","latency":"<any>","complete":true,"missing":[],"notes":[]}`)
	}
	_, body := sc.fetch(http.MethodGet, "http://"+sc.s.Monitor+"/websocket/stats", "")
	var stats struct {
		Rates   map[string]*float64
		Latency map[string]struct{ Count uint64 }
	}
	if err := json.Unmarshal([]byte(body), &stats); err != nil || stats.Rates["messages"] == nil || len(stats.Latency) == 0 {
		sc.Errorf("rates and latency are empty (%v): %s", err, body)
	}
	ann := sc.conn("ann")
	ann.join("#other")
	ann.do(`typing {"roomId":"#other","isTyping":true}`)
	ann.want(typed)
	sc.poll(func() error {
		_, body := sc.fetch(http.MethodGet, "http://"+sc.s.Edge+"/websocket/health", "")
		if !strings.Contains(body, `"activeRooms":2,"totalTypingUsers":1`) {
			return fmt.Errorf("nobody types: %s", body)
		}
		return nil
	})
	ann.bye(ws.StatusNormalClosure)
}

// labels looks for the ids of users and rooms, and for texts, in all metrics.
func (sc *scene) labels(names ...string) {
	sc.Helper()
	for _, url := range []string{"http://" + sc.s.Monitor + "/metrics", "http://" + sc.s.Admin + "/metrics"} {
		status, body := sc.fetch(http.MethodGet, url, "")
		if status != http.StatusOK || !strings.Contains(body, "chat_") {
			sc.Errorf("%s: %d, %d bytes: %.400s", url, status, len(body), body)
		}
		for _, name := range names {
			if strings.Contains(body, sc.id(name)) {
				sc.Errorf("%s tells of %s", url, name)
			}
		}
		if strings.Contains(body, "otel_metric_overflow") {
			sc.Errorf("%s: a label has too many values", url)
		}
	}
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/debug/pprof/": 200, "/nothing": 404} {
		if status, _ := sc.fetch(http.MethodGet, "http://"+sc.s.Admin+path, ""); status != want {
			sc.Errorf("admin %s: %d", path, status)
		}
	}
}

// TestDrainIsPaced: with a drain window clients are closed one after another, each after a
// reconnectSoon, and new ones are refused.
func TestDrainIsPaced(t *testing.T) {
	t.Parallel()
	s := suitetest.Start(t, "CONFAB_DRAIN_WINDOW=2s")
	settle(t, s)
	secret, err := devtoken.Secret(s.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	sc := newScene(t, s, secret)
	const n = 20
	var all []*conn
	for i := range n {
		c := sc.conn(fmt.Sprintf("user%d", i))
		c.do("heartbeat")
		c.want("re heartbeatResponse")
		all = append(all, c)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop() }()
	for i, c := range all {
		f := c.want("reconnectSoon")
		if after := f.seq("afterMs"); after > 2000 {
			t.Errorf("told to wait %d ms of a window of 2000", after)
		}
		if i == 0 {
			x, resp := sc.upgrade("late", options{}, handshake{header: []string{"Authorization: Bearer " + sc.token("late", time.Hour)}})
			if x != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
				t.Errorf("a new client: %s", resp.Status)
			}
		}
		c.do("heartbeat") // still served
	}
	for _, c := range all {
		c.until("close 1012")
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
