package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/shared/devtoken"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/tools/internal/suitetest"
)

func (contract) History(sc *scene) {
	ann := sc.conn("ann")
	ann.join("#r")
	ann.do(`getHistory {"roomId":"#r"}`)
	ann.want(`re history {"roomId":"#r","messages":[],"hasMore":false,"success":true}`)
	const n = 7
	live := make([]json.RawMessage, n+1)
	for i := range n {
		live[i+1] = ann.says("#r", fmt.Sprint("text ", i+1), i+1).Data
	}
	reader := sc.conn("bob")
	reader.join("#r")
	for _, c := range []struct {
		query    string
		from, to int
		more     bool
	}{
		{``, 1, 7, false},
		{`,"limit":3`, 5, 7, true},
		{`,"limit":7`, 1, 7, false},
		{`,"limit":1000000000`, 1, 7, false},
		{`,"before":8`, 1, 7, false},
		{`,"before":100`, 1, 7, false},
		{`,"before":5,"limit":2`, 3, 4, true},
		{`,"before":3,"limit":5`, 1, 2, false},
		{`,"before":3,"limit":2`, 1, 2, false},
		{`,"before":1`, 1, 0, false},
		{`,"after":0`, 1, 7, false},
		{`,"after":0,"limit":7`, 1, 7, false},
		{`,"after":2,"limit":2`, 3, 4, true},
		{`,"after":5`, 6, 7, false},
		{`,"after":5,"limit":2`, 6, 7, false},
		{`,"after":7`, 1, 0, false},
		{`,"after":100`, 1, 0, false},
	} {
		var messages []string
		for seq := c.from; seq <= c.to; seq++ {
			messages = append(messages, string(live[seq])) // exactly what was delivered
		}
		reader.do(`getHistory {"roomId":"#r"` + c.query + `}`)
		f := reader.next()
		if err := reader.differs(fmt.Sprintf(`re history {"roomId":"#r","messages":[%s],"hasMore":%t,"success":true}`, strings.Join(messages, ","), c.more), f); err != nil {
			sc.Errorf("%q: %v in %s", c.query, err, f)
		}
	}
}

// follow takes the messages from seq on up to the last one; nothing may come between.
func (c *conn) follow(tb testing.TB, from, to uint64) {
	tb.Helper()
	for seq := from; seq <= to; seq++ {
		if f := c.next(); f.Event != "receiveMessage" || f.seq("seq") != seq {
			tb.Fatalf("%s: want message %d, got %s", c.user, seq, f)
		}
	}
}

func (contract) Since(sc *scene) {
	ann := sc.conn("ann")
	ann.join("#r")
	for i := range 5 {
		ann.says("#r", fmt.Sprint("text ", i+1), i+1)
	}
	head := 5
	for i, c := range []struct {
		since     string
		recovered string
		from      int // of the replay; 0: none
	}{
		{"", "", 0},
		{`,"since":0`, `"recovered":true,`, 1},
		{`,"since":3`, `"recovered":true,`, 4},
		{`,"since":8`, `"recovered":true,`, 0}, // the head, which is one higher each time
		{`,"since":10`, `"recovered":false,`, 0},
		{`,"since":9007199254740991`, `"recovered":false,`, 0},
		{`,"since":null`, "", 0},
	} {
		user := fmt.Sprintf("reader%d", i)
		r := sc.conn(user)
		r.do(`joinRoom {"roomId":"#r"` + c.since + `}`)
		name := strings.ToUpper(user)
		r.want(fmt.Sprintf(`re joinedRoom {"roomId":"#r","success":true,"activeUsers":["@ann","@%s"],"seq":%d,%s"timestamp":"<time>"}`, user, head, c.recovered),
			fmt.Sprintf(`roomUsers {"roomId":"#r","users":[{"userId":"@ann","username":"ANN"},{"userId":"@%s","username":%q}],"total":2}`, user, name))
		if c.from > 0 {
			r.follow(sc, uint64(c.from), uint64(head))
		}
		ann.want("userJoined")
		head++
		ann.says("#r", "live", head, r) // and nothing before it
		r.do(`leaveRoom {"roomId":"#r"}`)
		r.want("re leftRoom")
		ann.want("userLeft")
	}
	ann.refused(code.BadRequest, `joinRoom {"roomId":"#s","since":-1}`)

	// A room without messages has nothing to recover, and nothing is missing.
	empty := sc.conn("bob")
	empty.do(`joinRoom {"roomId":"#empty","since":0}`)
	empty.want(`re joinedRoom {"roomId":"#empty","success":true,"activeUsers":["@bob"],"seq":0,"recovered":true,"timestamp":"<time>"}`, "roomUsers")
}

// SinceWhileTalking joins again and again while others talk without a pause: what
// is replayed and what is live meet without hole and without double.
func (contract) SinceWhileTalking(sc *scene) {
	ann := sc.conn("ann")
	ann.join("#r")
	const n = 400
	for range n { // the edge takes them as fast as they are stored
		ann.do(`sendMessage {"roomId":"#r","content":"talk"}`)
	}
	for i := range 8 {
		r := sc.conn(fmt.Sprintf("reader%d", i))
		from := uint64(i * 20)
		r.do(fmt.Sprintf(`joinRoom {"roomId":"#r","since":%d}`, from))
		reply := r.want("re joinedRoom", "roomUsers")
		_ = reply
		for seq := from + 1; seq <= n; {
			f := r.next()
			switch {
			case f.Event == "receiveMessage" && f.seq("seq") == seq:
				seq++
			case f.Event == "userJoined", f.Event == "userLeft":
			default:
				sc.Fatalf("reader %d: want message %d, got %s", i, seq, f)
			}
		}
	}
}

func (contract) SinceAfterReconnect(sc *scene) {
	all := sc.gather("#r", "ann", "bob")
	ann, bob := all[0], all[1]
	ann.says("#r", "both get it", 1, bob)
	bob.drop()
	ann.says("#r", "bob misses it", 2)
	ann.says("#r", "and this", 3)
	bob = sc.conn("bob")
	bob.do(`joinRoom {"roomId":"#r","since":1}`)
	bob.want(`re joinedRoom {"roomId":"#r","success":true,"activeUsers":["@ann","@bob"],"seq":3,"recovered":true,"timestamp":"<time>"}`, "roomUsers",
		received("ann", "#r", "bob misses it", 2), received("ann", "#r", "and this", 3))
	ann.says("#r", "together again", 4, bob)
}

// TestRetention: messages that are gone are announced, never left out in silence. The
// owner does not remove anything that young: the test does it, in the log.
func TestRetention(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.Listen)
	s := suitetest.Start(t, append(shared(), "CONFAB_NATS_URL="+srv.URL())...)
	settle(t, s)
	secret, err := devtoken.Secret(s.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	sinceRetention(newScene(t, s, secret), srv.Conn(t))
}

// purge leaves a room's last records.
func (sc *scene) purge(nc *nats.Conn, room string, keep uint64) {
	sc.Helper()
	token := subject.Token(sc.id(room))
	shard := subject.ShardOf(token)
	js, err := jetstream.New(nc)
	if err != nil {
		sc.Fatal(err)
	}
	stream, err := js.StreamNameBySubject(sc.Context(), subject.RoomLog(shard, token))
	if err != nil {
		sc.Fatal(err)
	}
	l, err := js.Stream(sc.Context(), stream)
	if err == nil {
		err = l.Purge(sc.Context(), jetstream.WithPurgeSubject(subject.RoomLog(shard, token)), jetstream.WithPurgeKeep(keep))
	}
	if err != nil {
		sc.Fatal(err)
	}
}

func sinceRetention(sc *scene, nc *nats.Conn) {
	ann := sc.conn("ann")
	ann.join("#r")
	const n = 1100 // records: each is acknowledged before the next is sent
	var first string
	for i := range n {
		ann.do(`sendMessage {"roomId":"#r","content":"x"}`)
		// On a busy machine the edge sends the command again, and the reply reports a duplicate.
		f := ann.wantAll("re messageSent", received("ann", "#r", "x", i+1))[1]
		if i == 0 {
			first = f.text("id")
		}
	}
	sc.purge(nc, "r", 1000)
	bob := sc.conn("bob")
	bob.do(`joinRoom {"roomId":"#r","since":10}`)
	bob.want(fmt.Sprintf(`re joinedRoom {"roomId":"#r","success":true,"activeUsers":["@ann","@bob"],"seq":%d,"recovered":false,"timestamp":"<time>"}`, n), "roomUsers")
	gap := bob.want(`gap {"roomId":"#r","from":11,"to":"<n>"}`)
	oldest := gap.seq("to") + 1
	if oldest > n-999 {
		sc.Errorf("only %d messages are left", n+1-oldest)
	}
	bob.follow(sc, oldest, n)
	ann.want("userJoined")

	bob.do(`getHistory {"roomId":"#r","limit":1000}`) // clamped
	f := bob.want("re history")
	if m, _ := f.get("messages").([]any); len(m) != 200 || f.get("hasMore") != true {
		sc.Errorf("%d messages, hasMore %v", len(m), f.get("hasMore"))
	}
	bob.do(fmt.Sprintf(`getHistory {"roomId":"#r","before":%d}`, oldest))
	bob.want(`re history {"roomId":"#r","messages":[],"hasMore":false,"success":true}`)
	bob.do(`getHistory {"roomId":"#r","after":0,"limit":1}`)
	if f := bob.want("re history"); f.get("hasMore") != true || !strings.Contains(string(f.Data), fmt.Sprintf(`"seq":%d,`, oldest)) {
		sc.Errorf("the oldest is %d, got %s", oldest, f)
	}
	bob.refused(code.NotFound, `messageRead {"roomId":"#r","messageId":"`+first+`"}`)
	// Page through all of it, backwards.
	total, before := 0, uint64(n+1)
	for more := true; more; {
		bob.do(fmt.Sprintf(`getHistory {"roomId":"#r","before":%d,"limit":150}`, before))
		var page struct {
			Messages []struct{ Seq uint64 }
			HasMore  bool
		}
		if err := json.Unmarshal(bob.want("re history").Data, &page); err != nil || len(page.Messages) == 0 {
			sc.Fatalf("page before %d: %v", before, err)
		}
		for i, m := range page.Messages {
			if m.Seq != before-uint64(len(page.Messages)-i) {
				sc.Fatalf("seq %d in the page before %d", m.Seq, before)
			}
		}
		before, more, total = page.Messages[0].Seq, page.HasMore, total+len(page.Messages)
	}
	if before != oldest || total != int(n+1-oldest) {
		sc.Errorf("paged %d messages down to %d, the oldest is %d", total, before, oldest)
	}
}
