package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// withPresence opens a connection that also receives presence events.
func (sc *scene) withPresence(user string) *conn {
	sc.Helper()
	return sc.connOpts(user, options{presence: true})
}

func person(event, user string) string {
	return fmt.Sprintf(`%s {"userId":"@%s","username":%q,"timestamp":"<time>"}`, event, user, strings.ToUpper(user))
}

func joins(user, room string) string {
	return fmt.Sprintf(`userJoined {"userId":"@%s","username":%q,"roomId":%q,"timestamp":"<time>"}`, user, strings.ToUpper(user), room)
}

func update(user, status, custom string) string {
	if custom != "" {
		custom = fmt.Sprintf(`"customStatus":%q,`, custom)
	}
	return fmt.Sprintf(`presenceUpdate {"userId":"@%s","username":%q,"status":%q,%s"timestamp":"<time>"}`, user, strings.ToUpper(user), status, custom)
}

func updated(status, custom string) string {
	return fmt.Sprintf(`re presenceUpdated {"success":true,"status":%q,"customStatus":%q,"timestamp":"<time>"}`, status, custom)
}

// PresenceStatus gets and sets presence; unknown ids are not online.
func (contract) PresenceStatus(sc *scene) {
	ann, bob := sc.conn("ann"), sc.conn("bob")
	const nobody = `{"userId":"@nobody","username":"","status":"offline","isOnline":false,"lastSeen":null}`
	online := func(user, status, custom string) string {
		return fmt.Sprintf(`{"userId":"@%s","username":%q,"status":%q,%s"isOnline":true,"lastSeen":"<time>"}`, user, strings.ToUpper(user), status, custom)
	}
	ask := func(ids string, want ...string) {
		sc.Helper()
		ann.do(`getPresence {"userIds":[` + ids + `]}`)
		ann.want(`re presenceRetrieved {"success":true,"presenceData":[` + strings.Join(want, ",") + `],"timestamp":"<time>"}`)
	}
	for _, c := range []*conn{ann, bob} { // registered, whatever else is under way
		c.do(`updatePresence {"status":"online"}`)
		c.want(updated("online", ""))
	}
	ask(`"@ann","@bob","@nobody"`, online("ann", "online", ""), online("bob", "online", ""), nobody)
	ask(`"@bob","@bob"`, online("bob", "online", ""))
	ask(``)

	bob.do(`updatePresence {"status":"busy","customStatus":" in a <b>meeting</b> "}`)
	bob.want(updated("busy", "in a <b>meeting</b>"))
	ask(`"@bob"`, online("bob", "busy", `"customStatus":"in a <b>meeting</b>",`))
	bob.do(`updatePresence {"status":"away"}`) // the text goes with the status
	bob.want(updated("away", ""))
	ask(`"@bob"`, online("bob", "away", ""))

	// Without ids, in this scope: the asker, and who shares a room.
	ann.do(`getPresence`)
	ann.want(`re presenceRetrieved {"success":true,"presenceData":[` + online("ann", "online", "") + `],"timestamp":"<time>"}`)
	ann.join("#r")
	bob.join("#r")
	ann.want("userJoined")
	ann.do(`getPresence {}`)
	ann.want(`re presenceRetrieved {"success":true,"presenceData":[` + online("ann", "online", "") + `,` + online("bob", "away", "") + `],"timestamp":"<time>"}`)

	bob.bye(ws.StatusNormalClosure)
	ann.want("userLeft")
	for { // the two owners hear of it in no particular order
		ann.do(`getPresence {"userIds":["@bob"]}`)
		f := ann.want("re presenceRetrieved")
		if ann.differs(`re presenceRetrieved {"success":true,"presenceData":[{"userId":"@bob","username":"BOB","status":"offline","isOnline":false,"lastSeen":"<time>"}],"timestamp":"<time>"}`, f) == nil {
			return
		}
		if !strings.Contains(string(f.Data), `"isOnline":true`) {
			sc.Fatalf("offline as %s", f)
		}
	}
}

// PresenceSharedRooms: once for each observer, however many rooms are shared.
func (contract) PresenceSharedRooms(sc *scene) {
	ann, stranger := sc.withPresence("ann"), sc.withPresence("zed")
	ann.join("#a")
	ann.join("#b")
	ann.join("#c")
	stranger.join("#elsewhere")
	bob, bob2 := sc.withPresence("bob"), sc.withPresence("bob")
	bob.join("#a")
	ann.wantAll(joins("bob", "#a"), person("userOnline", "bob"))
	bob.join("#b")
	ann.want(joins("bob", "#b")) // known to be online
	bob2.join("#c")
	ann.want(joins("bob", "#c"))

	bob.do(`updatePresence {"status":"busy","customStatus":"lunch"}`)
	bob.wantAll(updated("busy", "lunch"), update("bob", "busy", "lunch"))
	bob2.want(update("bob", "busy", "lunch"))
	ann.want(update("bob", "busy", "lunch"))

	// Another observer hears of bob when they meet first.
	carol := sc.withPresence("carol")
	carol.join("#a")
	for _, c := range []*conn{ann, bob} {
		c.wantAll(joins("carol", "#a"), person("userOnline", "carol"))
	}
	bob.do(`updatePresence {"status":"online"}`)
	bob.wantAll(updated("online", ""), update("bob", "online", ""))
	bob2.want(update("bob", "online", ""))
	ann.want(update("bob", "online", ""))
	carol.want(update("bob", "online", ""))
	stranger.says("#elsewhere", "nothing of that came here", 1)
}

func (contract) PresenceOffline(sc *scene) {
	ann := sc.withPresence("ann")
	ann.join("#a")
	ann.join("#b")
	bob, bob2 := sc.conn("bob"), sc.conn("bob")
	for _, room := range []string{"#a", "#b"} {
		bob.join(room)
		bob2.join(room)
	}
	ann.wantAll(joins("bob", "#a"), joins("bob", "#b"), person("userOnline", "bob"))
	bob2.bye(ws.StatusNormalClosure) // the other one is there
	ann.says("#a", "still online", 1, bob)
	bob.bye(ws.StatusNormalClosure)
	ann.wantAll(leftRoom("bob", "#a"), leftRoom("bob", "#b"), person("userOffline", "bob"))

	// The next online period is announced again. A lost connection is announced after a while.
	bob = sc.conn("bob")
	bob.join("#a")
	ann.wantAll(joins("bob", "#a"), person("userOnline", "bob"))
	bob.drop()
	ann.wantAll(leftRoom("bob", "#a"), person("userOffline", "bob"))

	// Coming back in time shows nothing.
	carol, dave := sc.conn("carol"), sc.conn("dave")
	carol.join("#a")
	ann.wantAll(joins("carol", "#a"), person("userOnline", "carol"))
	dave.join("#a")
	ann.wantAll(joins("dave", "#a"), person("userOnline", "dave"))
	carol.drop()
	sc.conn("carol").join("#a")
	dave.drop()
	ann.wantAll(leftRoom("dave", "#a"), person("userOffline", "dave"))
	ann.says("#a", "nothing about carol", 2)
}

// TestScopeAll has few users, because all of them hear of each other.
func TestScopeAll(t *testing.T) {
	run(t, map[string]func(*scene){"everybody": func(sc *scene) {
		ann := sc.withPresence("ann")
		ann.do(`updatePresence {"status":"online"}`) // her userOnline precedes it
		ann.wantAll(updated("online", ""), update("ann", "online", ""))
		bob := sc.withPresence("bob")
		ann.want(person("userOnline", "bob"))
		bob2 := sc.withPresence("bob") // known already
		carol := sc.withPresence("carol")
		for _, c := range []*conn{ann, bob, bob2} {
			c.want(person("userOnline", "carol"))
		}
		bob.do(`updatePresence {"status":"away","customStatus":"back soon"}`)
		bob.wantAll(updated("away", "back soon"), update("bob", "away", "back soon"))
		for _, c := range []*conn{ann, bob2, carol} {
			c.want(update("bob", "away", "back soon"))
		}
		// Who shares a room hears it once all the same.
		ann.join("#r")
		bob.join("#r")
		ann.want(joins("bob", "#r"))
		bob.do(`updatePresence {"status":"online"}`)
		bob.wantAll(updated("online", ""), update("bob", "online", ""))
		for _, c := range []*conn{ann, bob2, carol} {
			c.want(update("bob", "online", ""))
		}
		ann.do("getPresence")
		ann.want(`re presenceRetrieved {"success":true,"presenceData":[` +
			`{"userId":"@ann","username":"ANN","status":"online","isOnline":true,"lastSeen":"<time>"},` +
			`{"userId":"@bob","username":"BOB","status":"online","isOnline":true,"lastSeen":"<time>"},` +
			`{"userId":"@carol","username":"CAROL","status":"online","isOnline":true,"lastSeen":"<time>"}],"timestamp":"<time>"}`)
		carol.drop()
		back := sc.withPresence("carol")
		bob.bye(ws.StatusGoingAway)
		ann.want(left("bob"))
		bob2.bye(ws.StatusNormalClosure)
		ann.want(person("userOffline", "bob"))
		back.want(person("userOffline", "bob"))
		dave := sc.withPresence("dave")
		ann.want(person("userOnline", "dave"))
		dave.drop()
		ann.want(person("userOffline", "dave")) // two seconds later: carol's time is over by now
		back.want(person("userOnline", "dave"), person("userOffline", "dave"))
	}})
}
