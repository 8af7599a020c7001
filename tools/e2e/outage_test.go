package e2e_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/shared/devtoken"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/tools/internal/suitetest"
)

// TestOutage runs the suite over a NATS server of the test's own, which sees what
// is published and goes away in the middle.
func TestOutage(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t, natstest.Listen)
	tap := nats.Tap(t)
	s := suitetest.Start(t, "CONFAB_NATS_URL="+nats.URL(), "CONFAB_LIMIT_JOINS=1000", "CONFAB_LIMIT_MESSAGES=1000")
	settle(t, s)
	secret, err := devtoken.Secret(s.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	sc := newScene(t, s, secret)
	contract{}.RoomNames(sc)
	all := sc.gather("#a.b:c/d", "ann", "bob")
	ann, bob := all[0], all[1]
	const room = "#a.b:c/d"
	ann.says(room, "before", 1, bob)

	address := nats.URL()
	nats.Stop()
	ann.do(`sendMessage {"roomId":"` + room + `","content":"during","clientMessageId":"c-2"}`)
	bob.do(`getHistory {"roomId":"` + room + `"}`)
	carol := sc.conn("carol") // connecting needs no other service
	carol.refused(code.Unavailable, `joinRoom {"roomId":"#x"}`)
	ann.want("re error " + failure(code.Unavailable, "sendMessage"))
	bob.want("re error " + failure(code.Unavailable, "getHistory"))
	ann.do("heartbeat")
	ann.want("re heartbeatResponse")
	status, body := sc.fetch(http.MethodGet, "http://"+s.Edge+"/websocket/health", "")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, `"status":"unhealthy"`) {
		t.Errorf("health without a monitor: %d %s", status, body)
	}
	status, body = sc.fetch(http.MethodGet, "http://"+s.Edge+"/websocket/stats", "")
	if err := match("body", decode(t, failure(code.Unavailable, "")), decode(t, body)); err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("statistics without a monitor: %d %v", status, err)
	}
	for _, text := range []string{body, ann.story()} {
		for _, inside := range []string{address, "127.0.0.1", "chat.v1", "nats:", "goroutine", ".go:"} {
			if strings.Contains(text, inside) {
				t.Errorf("%q leaks: %s", inside, text)
			}
		}
	}

	nats.Restart(t)
	// Repeated with the same id until it is known to be stored. She is shown it once, before
	// or after the answer, whichever of her attempts was stored.
	for sent, shown := false, false; !sent || !shown; {
		if !sent {
			ann.do(`sendMessage {"roomId":"` + room + `","content":"during","clientMessageId":"c-2"}`)
		}
		for answered := sent; !answered || sent && !shown; {
			switch f := ann.next(); {
			case f.Event == "receiveMessage" && !shown:
				shown = true
			case f.Event == "messageSent":
				sent, answered = true, true
			case f.text("error") == "UNAVAILABLE":
				answered = true
			default:
				t.Fatalf("unexpected %s", f)
			}
		}
	}
	bob.want(received("ann", room, "during", 2))
	bob.says(room, "after", 3, ann)
	sc.subjects(tap)
}

// subjects checks that everything published has a name of the schema: none that a
// room's or user's id has made.
func (sc *scene) subjects(tap *natstest.Tap) {
	sc.Helper()
	known := regexp.MustCompile(`^(chat\.v1\.(room\.\d+\.(cmd\.[a-z]+|typing)|user\.\d+\.cmd\.[a-z]+|rl\.\d+\.[a-z]+|head\.\d+|userbc\.\d+|` +
		`(log|bc)\.\d+\.[rbh][A-Za-z0-9_-]+|log\.\d+\._probe|ledger\.\d+|(hb|tel)\.(edge|room|ratelimit|monitor)\.[a-z0-9-]+|ctl\.edges\.(sync|leases)|ctl\.edge\.[a-z0-9-]+\.(recall|poll|recover)|api\.[a-z]+)` +
		`|\$KV\.chat_(own|cfg)\.[A-Za-z0-9_.-]+|\$JS\.(API|ACK|EVENT)\..+|\$SRV\..+|_INBOX[A-Za-z0-9_]*\.[A-Za-z0-9_.-]+)$`)
	subjects := tap.Subjects()
	if len(subjects) < 20 {
		sc.Errorf("the tap has seen %d subjects only", len(subjects))
	}
	for _, subj := range subjects {
		if !known.MatchString(subj) {
			sc.Errorf("published on %q", subj)
		}
	}
}
