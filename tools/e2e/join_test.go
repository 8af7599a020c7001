package e2e_test

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/shared/devtoken"
)

func (contract) JoinAndLeave(sc *scene) {
	ann, bob, bob2 := sc.conn("ann"), sc.conn("bob"), sc.conn("bob")
	ann.do(`joinRoom {"roomId":"#r"}`)
	ann.want(`re joinedRoom {"roomId":"#r","success":true,"activeUsers":["@ann"],"seq":0,"timestamp":"<time>"}`,
		`roomUsers {"roomId":"#r","users":[{"userId":"@ann","username":"ANN"}],"total":1}`)

	const both = `roomUsers {"roomId":"#r","users":[{"userId":"@ann","username":"ANN"},{"userId":"@bob","username":"BOB"}],"total":2}`
	const bobJoins = `re joinedRoom {"roomId":"#r","success":true,"activeUsers":["@ann","@bob"],"seq":0,"timestamp":"<time>"}`
	bob.do(`joinRoom {"roomId":"#r"}`)
	bob.want(bobJoins, both)
	ann.want(`userJoined {"userId":"@bob","username":"BOB","roomId":"#r","timestamp":"<time>"}`)

	// Neither another connection of a user nor joining again is news to others.
	bob2.do(`joinRoom {"roomId":"#r"}`)
	bob2.want(bobJoins, both)
	bob.do(`joinRoom {"roomId":"#r"}`)
	bob.want(bobJoins, both)

	// Leaving one of two connections is none either, and ends that one's membership.
	bob.do(`leaveRoom {"roomId":"#r"}`)
	bob.want(`re leftRoom {"roomId":"#r","success":true,"timestamp":"<time>"}`)
	bob2.says("#r", "still here", 1, ann)
	bob.refused(code.NotInRoom, `sendMessage {"roomId":"#r","content":"x"}`)
	bob2.do(`leaveRoom {"roomId":"#r"}`)
	bob2.want(`re leftRoom {"roomId":"#r","success":true,"timestamp":"<time>"}`)
	ann.want(`userLeft {"userId":"@bob","username":"BOB","roomId":"#r","timestamp":"<time>"}`)
	bob.refused(code.NotInRoom, `leaveRoom {"roomId":"#r"}`)

	// Back again: seq goes on.
	bob.do(`joinRoom {"roomId":"#r"}`)
	bob.want(`re joinedRoom {"roomId":"#r","success":true,"activeUsers":["@ann","@bob"],"seq":1,"timestamp":"<time>"}`, both)
	ann.want(`userJoined {"userId":"@bob","username":"BOB","roomId":"#r","timestamp":"<time>"}`)
}

// Room ids that look like subjects are ids like all others.
func (contract) RoomNames(sc *scene) {
	ann, bob := sc.conn("ann"), sc.conn("bob")
	tag := sc.tag
	longest := strings.Repeat("x", 64-len(tag)) + tag
	for _, room := range []string{"a.b." + tag, tag + "/a:b_c-d", "_INBOX." + tag, "." + tag + ".", "A" + tag, "a" + tag, longest} {
		ann.join(room)
		bob.join(room)
		ann.want(`userJoined {"userId":"@bob","username":"BOB","roomId":"` + room + `","timestamp":"<time>"}`)
		ann.says(room, "in "+room, 1, bob)
	}
	for _, room := range []string{
		"", longest + "x", ">", "*", "a.>", "a b", "a\\r\\nb", "a\\u0000", "$SYS", "gеneral", "a,b", "é", "a\\\\b", "<img>", "😀",
	} {
		ann.refused(code.BadRequest, `joinRoom {"roomId":"`+room+`"}`)
	}
	for _, payload := range []string{` {}`, ` {"roomId":7}`, ` {"roomId":null}`, ` []`, ` "x"`, ` null`, ``} {
		ann.refused(code.BadRequest, `joinRoom`+payload)
	}
}

func (contract) HundredRooms(sc *scene) {
	ann := sc.conn("ann")
	for i := range 100 {
		ann.join(fmt.Sprintf("#r%d", i))
	}
	ann.refused(code.Forbidden, `joinRoom {"roomId":"#r100"}`)
	ann.join("#r7") // again
	ann.do(`leaveRoom {"roomId":"#r7"}`)
	ann.want("re leftRoom")
	ann.join("#r100")
	ann.refused(code.Forbidden, `joinRoom {"roomId":"#r7"}`)
	other := sc.conn("ann") // the limit is the connection's
	other.join("#r7")
	sc.pages(100)
}

// Names are cleaned, not refused: their bearers cannot change them here.
func (contract) DisplayNames(sc *scene) {
	ann := sc.conn("ann")
	ann.join("#r")
	for i, c := range []struct{ claim, shown string }{
		{"  Zoë \u202eevil\u202c ", "Zoë evil"},
		{"a\r\nb\x1b[31m\",\"level\":\"x", `a b[31m","level":"x`},
		{"<b>&amp;", "<b>&amp;"},
		{strings.Repeat("é", 70), strings.Repeat("é", 64)},
		{" \u200b ", sc.id(fmt.Sprintf("user%d", 4))},
	} {
		user := fmt.Sprintf("user%d", i)
		token := devtoken.Mint(sc.secret, sc.id(user), c.claim, time.Now(), time.Hour)
		x, resp := sc.upgrade(user, options{}, handshake{header: []string{"Authorization: Bearer " + token}})
		if x == nil {
			sc.Fatalf("%q: %s", c.claim, resp.Status)
		}
		x.join("#r")
		if got := ann.want("userJoined").text("username"); got != c.shown {
			sc.Errorf("%q is shown as %q, want %q", c.claim, got, c.shown)
		}
		x.do(`leaveRoom {"roomId":"#r"}`)
		if got := ann.want("userLeft").text("username"); got != c.shown {
			sc.Errorf("%q left as %q", c.claim, got)
		}
	}
}

func (contract) NotInRoom(sc *scene) {
	ann, bob := sc.conn("ann"), sc.conn("bob")
	bob.join("#r")
	m := bob.says("#r", "secret", 1)
	requests := []string{
		`leaveRoom {"roomId":"#r"}`, `sendMessage {"roomId":"#r","content":"x"}`, `typing {"roomId":"#r","isTyping":true}`,
		`getRoomStats {"roomId":"#r"}`, `getHistory {"roomId":"#r"}`, `messageRead {"roomId":"#r","messageId":"` + m.text("id") + `"}`,
	}
	for _, r := range requests {
		ann.refused(code.NotInRoom, r)
		// The refusal does not reveal whether a room exists.
		inside := ann.refused(code.NotInRoom, strings.Replace(r, "#r", "#nowhere", 1))
		if text := inside.text("message"); strings.Contains(text, "nowhere") {
			sc.Errorf("%s: the message names the room: %s", r, text)
		}
	}
	bob.says("#r", "nothing happened", 2) // no typing, no leaving came in between
}

// Payloads are those that no event may accept.
func (contract) Payloads(sc *scene) {
	ann := sc.conn("ann")
	ann.join("#r")
	for _, request := range []string{
		`leaveRoom {}`, `leaveRoom {"roomId":""}`, `leaveRoom`,
		`sendMessage {"roomId":"#r"}`, `sendMessage {"content":"x"}`, `sendMessage {"roomId":"#r","content":7}`,
		`sendMessage {"roomId":"#r","content":null}`, `sendMessage {"roomId":"#r","content":{"a":1}}`,
		`sendMessage {"roomId":"#r","content":"x","messageType":"VIDEO"}`, `sendMessage {"roomId":"#r","content":"x","messageType":1}`,
		`sendMessage {"roomId":"#r","content":"x","messageType":"text"}`,
		`sendMessage {"roomId":"#r","content":"x","clientMessageId":""}`, `sendMessage {"roomId":"#r","content":"x","clientMessageId":"a b"}`,
		`sendMessage {"roomId":"#r","content":"x","clientMessageId":"é"}`, `sendMessage {"roomId":"#r","content":"x","clientMessageId":7}`,
		`sendMessage {"roomId":"#r","content":"x","clientMessageId":"` + strings.Repeat("c", 65) + `"}`,
		`typing {"roomId":"#r"}`, `typing {"roomId":"#r","isTyping":"yes"}`, `typing {"roomId":"#r","isTyping":1}`, `typing {"isTyping":true}`,
		`getRoomStats {}`, `getRoomStats {"roomId":["#r"]}`,
		`getHistory {"roomId":"#r","limit":0}`, `getHistory {"roomId":"#r","limit":-1}`, `getHistory {"roomId":"#r","limit":"5"}`,
		`getHistory {"roomId":"#r","limit":1.5}`, `getHistory {"roomId":"#r","before":-1}`, `getHistory {"roomId":"#r","after":1.5}`,
		`getHistory {"roomId":"#r","before":3,"after":1}`, `getHistory {"roomId":"#r","before":9223372036854775808}`, `getHistory {}`,
		`joinRoom {"roomId":"#r","since":-1}`, `joinRoom {"roomId":"#r","since":1.5}`, `joinRoom {"roomId":"#r","since":"1"}`,
		`joinRoom {"roomId":"#r","since":9223372036854775808}`, `joinRoom {"roomId":"#r","since":true}`,
		`updatePresence {}`, `updatePresence {"status":"offline"}`, `updatePresence {"status":"Busy"}`, `updatePresence {"status":7}`,
		`updatePresence {"status":"busy","customStatus":7}`, `updatePresence {"status":"busy","customStatus":"` + strings.Repeat("x", 129) + `"}`,
		`updatePresence {"status":"busy","customStatus":"a\u202eb"}`,
		`getPresence {"userIds":"@ann"}`, `getPresence {"userIds":[7]}`, `getPresence {"userIds":[""]}`, `getPresence {"userIds":["a b"]}`,
		`getPresence {"userIds":[` + many(101) + `]}`,
		`messageRead {"roomId":"#r"}`, `messageRead {"messageId":"x"}`, `messageRead {"roomId":"#r","messageId":7}`,
		`refreshToken {}`, `refreshToken {"token":7}`, `refreshToken`,
	} {
		ann.refused(code.BadRequest, request)
	}
	// Unknown fields are ignored.
	ann.do(`getHistory {"roomId":"#r","limit":null,"new":{"a":[1]}}`)
	ann.want(`re history {"roomId":"#r","messages":[],"hasMore":false,"success":true}`)
}

func many(n int) string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf(`"u%d"`, i)
	}
	return strings.Join(ids, ",")
}

// EarlyFrame sends the first request in one segment with the handshake.
func (contract) EarlyFrame(sc *scene) {
	var early bytes.Buffer
	writeText(&early, `{"id":1,"event":"heartbeat"}`)
	c, resp := sc.upgrade("ann", options{}, handshake{header: []string{"Authorization: Bearer " + sc.token("ann", time.Hour)}, early: early.Bytes()})
	if c == nil {
		sc.Fatal(resp.Status)
	}
	c.id = 1
	c.want(`re heartbeatResponse {"timestamp":"<time>","userId":"@ann","success":true}`)
}
