package e2e_test

import (
	"fmt"

	"github.com/confab-chat/confab/proto/code"
)

func types(user, room string, on bool) string {
	return fmt.Sprintf(`userTyping {"userId":"@%s","username":"ANN","roomId":%q,"isTyping":%t,"timestamp":"<time>"}`, user, room, on)
}

const typed = `re typingUpdated {"success":true,"timestamp":"<time>"}`

func (contract) Typing(sc *scene) {
	all := sc.gather("#r", "ann", "bob")
	ann, bob := all[0], all[1]
	ann2 := sc.conn("ann") // the same user: receives no typing events
	ann2.join("#r")
	set := func(on bool) {
		sc.Helper()
		ann.do(fmt.Sprintf(`typing {"roomId":"#r","isTyping":%t}`, on))
		ann.want(typed)
	}
	set(true)
	bob.want(types("ann", "#r", true))
	set(true) // renewed: no news
	set(false)
	bob.want(types("ann", "#r", false))
	set(false)

	// Sending ends it.
	set(true)
	bob.want(types("ann", "#r", true))
	ann.says("#r", "said", 1, ann2)
	bob.wantAll(types("ann", "#r", false), received("ann", "#r", "said", 1))

	// So does leaving.
	ann2.do(`leaveRoom {"roomId":"#r"}`)
	ann2.want("re leftRoom")
	set(true)
	bob.want(types("ann", "#r", true))
	ann.do(`leaveRoom {"roomId":"#r"}`)
	ann.want("re leftRoom")
	bob.wantAll(types("ann", "#r", false), "userLeft")
}

func (contract) TypingExpires(sc *scene) {
	all := sc.gather("#r", "ann", "bob")
	ann, bob := all[0], all[1]
	ann.do(`typing {"roomId":"#r","isTyping":true}`)
	ann.want(typed)
	bob.want(types("ann", "#r", true), types("ann", "#r", false))
}

func (contract) RoomStats(sc *scene) {
	all := sc.gather("#r", "ann", "bob")
	ann, bob := all[0], all[1]
	const stats = `"roomId":"#r","userCount":2,"users":[{"userId":"@bob","username":"BOB"},{"userId":"@ann","username":"ANN"}],` +
		`"typingUsers":[%s],"createdAt":"<time>","lastActivity":"<time>","timestamp":"<time>"}`
	ask := func(typists string) frame {
		sc.Helper()
		bob.do(`getRoomStats {"roomId":"#r"}`)
		return bob.want(`re roomStatsRetrieved {"success":true,`+fmt.Sprintf(stats, typists), `roomStats {`+fmt.Sprintf(stats, typists))
	}
	first := ask("")
	ann.do(`typing {"roomId":"#r","isTyping":true}`)
	ann.want(typed)
	bob.want(types("ann", "#r", true))
	ask(`"@ann"`)
	m := bob.says("#r", "activity", 1, ann)
	last := ask(`"@ann"`)
	if last.text("createdAt") != first.text("createdAt") || last.text("lastActivity") < m.text("timestamp") {
		sc.Errorf("before %s\nmessage %s\nafter %s", first, m, last)
	}
	if created := first.text("createdAt"); created > first.text("timestamp") || created > last.text("lastActivity") {
		sc.Errorf("times are out of order: %s", last)
	}
}

func (contract) Heartbeat(sc *scene) {
	ann := sc.conn("ann")
	for _, payload := range []string{"", " {}", ` {"anything":[1]}`} {
		ann.do("heartbeat" + payload)
		ann.want(`re heartbeatResponse {"timestamp":"<time>","userId":"@ann","success":true}`)
	}
	ann.raw(`{"id":9,"event":"heartbeat","data":null}`)
	ann.id = 9
	ann.want(`re heartbeatResponse`)
}

func (contract) MessageRead(sc *scene) {
	all := sc.gather("#r", "ann", "bob")
	ann, bob := all[0], all[1]
	m := ann.says("#r", "read me", 1, bob)
	id := m.text("id")
	bob.do(`messageRead {"roomId":"#r","messageId":"` + id + `"}`)
	update := fmt.Sprintf(`messageReadUpdate {"roomId":"#r","userId":"@bob","username":"BOB","messageId":%q,"seq":1,"timestamp":"<time>"}`, id)
	bob.wantAll(fmt.Sprintf(`re messageRead {"success":true,"readReceipt":{"messageId":%q,"userId":"@bob","username":"BOB","seq":1,"readAt":"<time>"}}`, id), update)
	ann.want(update)

	other := sc.conn("carol")
	other.join("#s")
	elsewhere := other.says("#s", "not in r", 1)
	for _, wrong := range []string{elsewhere.text("id"), "x", id + "x", "2-" + id[2:], "\U0001F600"} {
		bob.refused(code.NotFound, `messageRead {"roomId":"#r","messageId":"`+wrong+`"}`)
	}
	ann.says("#r", "nothing came of those", 2, bob)
}

// MessageReadCoalesced: of read marks in quick succession only the last must be sent.
func (contract) MessageReadCoalesced(sc *scene) {
	all := sc.gather("#r", "ann", "bob")
	ann, bob := all[0], all[1]
	const n = 20
	var ids []string
	for i := range n {
		ids = append(ids, ann.says("#r", fmt.Sprint("m", i+1), i+1, bob).text("id"))
	}
	for _, id := range ids {
		bob.do(`messageRead {"roomId":"#r","messageId":"` + id + `"}`)
		bob.until("re messageRead")
	}
	last, told := uint64(0), 0
	for last < n {
		f := ann.want("messageReadUpdate")
		if seq := f.seq("seq"); seq <= last {
			sc.Fatalf("seq %d after %d", seq, last)
		} else {
			last, told = seq, told+1
		}
	}
	if told == n {
		sc.Errorf("each of %d reads was told", n)
	}
}
