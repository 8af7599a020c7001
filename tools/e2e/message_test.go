package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/gobwas/ws"

	"github.com/confab-chat/confab/proto/code"
)

func (contract) Send(sc *scene) {
	all := sc.gather("#r", "ann", "bob")
	ann, bob := all[0], all[1]
	ann2, elsewhere := sc.conn("ann"), sc.conn("carol")
	ann2.join("#r")
	elsewhere.join("#other")

	// Everybody in the room gets it, the sender's other connections too.
	ann.says("#r", "Hello, <b>world</b> & \"all\" 'quoted'\n\t😀", 1, bob, ann2)
	ann.do(`sendMessage {"roomId":"#r","content":" \n trimmed\t ","messageType":"TEXT"}`)
	ann.wantAll(sent("ann", "#r", "trimmed", 2), received("ann", "#r", "trimmed", 2))
	bob.want(received("ann", "#r", "trimmed", 2))
	ann2.want(received("ann", "#r", "trimmed", 2))
	for i, kind := range []string{"IMAGE", "FILE"} {
		bob.do(`sendMessage {"roomId":"#r","content":"https://example.org/x","messageType":"` + kind + `"}`)
		typed := strings.Replace(message("bob", "#r", "https://example.org/x", 3+i), "TEXT", kind, 1)
		bob.wantAll(`re messageSent {"message":`+typed+`,"success":true}`, "receiveMessage "+typed)
		ann.want("receiveMessage " + typed)
		ann2.want("receiveMessage " + typed)
	}
	elsewhere.says("#other", "of all that nothing came here", 1)
}

func (contract) Texts(sc *scene) {
	ann := sc.conn("ann")
	ann.join("#r")
	seq := 0
	for _, text := range []string{
		"a", strings.Repeat("a", 2000), strings.Repeat("😀", 2000), strings.Repeat("e\u0301", 1000), " " + strings.Repeat("b", 2000) + " ",
		"line\nbreak\tand tab", "👩‍👩‍👧‍👦", "שלום\u200f", "&lt;script&gt;", `<script>alert("1")</script>`, `\u0000 as text`, "\ufffd",
	} {
		seq++
		b, err := json.Marshal(text)
		if err != nil {
			sc.Fatal(err)
		}
		ann.do(`sendMessage {"roomId":"#r","content":` + string(b) + `}`)
		want := strings.Trim(text, " ")
		ann.wantAll(sent("ann", "#r", want, seq), received("ann", "#r", want, seq))
	}
	for _, text := range []string{
		``, `   `, `\n\t\n`, `\u200b`, `\u200b \ufeff`, `\u2800`, strings.Repeat("a", 2001), strings.Repeat("😀", 2001),
		strings.Repeat("e\u0301", 1000) + "e", `a\u0000b`, `a\u0007`, `a\u001b[31m`, `a\rb`, `a\u007fb`, `a\u0085b`, `a\u009fb`,
		`a\u202eb`, `a\u202ab`, `a\u2066b`, `a\u2069b`, "a\u202eb", "a\u007fb",
	} {
		ann.refused(code.BadRequest, `sendMessage {"roomId":"#r","content":"`+text+`"}`)
	}
	// Half of a surrogate pair, as a script cuts it out of an emoji, does not count as
	// abuse: the request gets a reply.
	for _, text := range []string{`a\ud800b`, `a\udc00b`, `\udc00\ud800`} {
		ann.do(`sendMessage {"roomId":"#r","content":"` + text + `"}`)
		if f := ann.want("re error"); f.text("error") != "BAD_REQUEST" {
			sc.Errorf("%s: %s", text, f)
		}
	}
	ann.says("#r", "nothing of that was stored", seq+1)
}

// SendOrder has far more requests under way than the edge works on at once.
func (contract) SendOrder(sc *scene) {
	all := sc.gather("#r", "ann", "bob")
	ann, bob := all[0], all[1]
	const n = 300
	first := ann.id
	for i := range n {
		ann.do(fmt.Sprintf(`sendMessage {"roomId":"#r","content":"text %d"}`, i+1))
	}
	replies := make(map[uint64]uint64)
	last := uint64(0)
	for range 2 * n {
		f := ann.next()
		switch {
		case f.Event == "messageSent" && f.ID != nil:
			replies[*f.ID] = f.seq("message.seq")
		case f.Event == "receiveMessage" && f.seq("seq") == last+1:
			last++
		default:
			sc.Fatalf("unexpected %s after seq %d", f, last)
		}
	}
	for i := range uint64(n) {
		if seq := replies[first+i+1]; seq != i+1 {
			sc.Errorf("request %d got seq %d", i+1, seq)
		}
		bob.want(received("ann", "#r", fmt.Sprintf("text %d", i+1), int(i)+1))
	}
}

func (contract) ServersValues(sc *scene) {
	all := sc.gather("#r", "ann", "bob")
	ann, bob := all[0], all[1]
	ann.do(`sendMessage {"roomId":"#r","content":"x","id":"1-0000000000000","seq":77,"timestamp":"2000-01-01T00:00:00.000Z",` +
		`"createdAt":"2000-01-01T00:00:00.000Z","author":{"id":"@bob","username":"BOB"},"user":{"id":"@bob"},"userId":"@bob","duplicate":true}`)
	got := ann.wantAll(sent("ann", "#r", "x", 1), received("ann", "#r", "x", 1))
	bob.want(received("ann", "#r", "x", 1))
	if at := got[1].text("timestamp"); strings.HasPrefix(at, "2000") || got[1].text("id") == "1-0000000000000" {
		sc.Errorf("a value of the client's came through: %s", got[1])
	}
}

// request is a sendMessage with a clientMessageId.
func request(room, content, id string) string {
	return fmt.Sprintf(`sendMessage {"roomId":%q,"content":%q,"clientMessageId":%q}`, room, content, id)
}

// repeated is the reply to a message that had been stored before.
func repeated(stored json.RawMessage) string {
	return `re messageSent {"message":` + string(stored) + `,"success":true,"duplicate":true}`
}

func (contract) Duplicates(sc *scene) {
	all := sc.gather("#r", "ann", "bob")
	ann, bob := all[0], all[1]
	ann2 := sc.conn("ann")
	ann2.join("#r")
	ann.do(request("#r", "once", "c-1"))
	stored := ann.wantAll(sent("ann", "#r", "once", 1), received("ann", "#r", "once", 1))[1].Data
	ann2.want(received("ann", "#r", "once", 1))
	bob.want(received("ann", "#r", "once", 1))

	// The same connection, another one: the same message, not broadcast again.
	ann.do(request("#r", "once", "c-1"))
	ann.want(repeated(stored))
	ann2.do(request("#r", " once ", "c-1"))
	ann2.want(repeated(stored))

	// Another user's same id, and the same id in another room, are other messages.
	bob.do(request("#r", "once", "c-1"))
	bob.wantAll(sent("bob", "#r", "once", 2), received("bob", "#r", "once", 2))
	ann.want(received("bob", "#r", "once", 2))
	ann.join("#s")
	ann.do(request("#s", "once", "c-1"))
	ann.wantAll(sent("ann", "#s", "once", 1), received("ann", "#s", "once", 1))

	// Ids are compared as they are.
	ann.do(request("#r", "once", "C-1"))
	ann.wantAll(sent("ann", "#r", "once", 3), received("ann", "#r", "once", 3))
	longest := strings.Repeat("~", 64)
	for _, extra := range []string{"", `,"duplicate":true`} {
		ann.do(request("#r", "long id", longest))
		f := ann.until("re messageSent")
		if err := ann.differs(strings.TrimSuffix(sent("ann", "#r", "long id", 4), "}")+extra+"}", f); err != nil {
			sc.Errorf("%v: %s", err, f)
		}
	}
}

func (contract) DuplicatesAtOnce(sc *scene) {
	const conns, each = 5, 2
	bob := sc.conn("bob")
	bob.join("#r")
	var anns []*conn
	for i := range conns {
		c := sc.conn("ann")
		c.join("#r")
		if i == 0 {
			bob.want("userJoined")
		}
		anns = append(anns, c)
	}
	var mu sync.Mutex
	fresh, ids := 0, map[string]bool{}
	var wg sync.WaitGroup
	for _, c := range anns {
		wg.Go(func() {
			for range each {
				c.do(request("#r", "ten times", "c-10"))
			}
			for range each + 1 { // and the message itself, once
				f := c.next()
				mu.Lock()
				switch f.Event {
				case "messageSent":
					ids[f.text("message.id")] = true
					if f.get("duplicate") == nil {
						fresh++
					}
				case "receiveMessage":
					ids[f.text("id")] = true
				default:
					sc.Errorf("unexpected %s", f)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if fresh != 1 || len(ids) != 1 {
		sc.Errorf("%d acceptances, message ids %v", fresh, ids)
	}
	bob.want(received("ann", "#r", "ten times", 1))
	bob.says("#r", "only that one", 2, anns...)
}

func (contract) DuplicatesAfterReconnect(sc *scene) {
	ann := sc.conn("ann")
	ann.join("#r")
	ann.do(request("#r", "before", "c-1"))
	stored := ann.wantAll(sent("ann", "#r", "before", 1), received("ann", "#r", "before", 1))[1].Data
	ann.drop()
	back := sc.conn("ann")
	back.join("#r")
	back.do(request("#r", "before", "c-1"))
	back.want(repeated(stored))
	back.bye(ws.StatusNormalClosure)
	again := sc.conn("ann")
	again.join("#r")
	again.do(request("#r", "before", "c-1"))
	again.want(repeated(stored))
}

func (contract) Conflict(sc *scene) {
	all := sc.gather("#r", "ann", "bob")
	ann, bob := all[0], all[1]
	ann.do(request("#r", "one", "c-1"))
	ann.wantAll(sent("ann", "#r", "one", 1), received("ann", "#r", "one", 1))
	bob.want(received("ann", "#r", "one", 1))
	ann.refused(code.Conflict, request("#r", "two", "c-1"))
	ann.do(request("#r", "one", "c-1")) // the id still stands for the first
	ann.want("re messageSent")
	ann.says("#r", "next", 2, bob)
}
