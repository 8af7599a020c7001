package edge_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/confab-chat/confab/shared/eventually"
)

// back reconnects as user with the pid and an offset.
func (c *chat) back(w *world, user, offset string) *chat {
	c.w.tb.Helper()
	return w.chat(user, fmt.Sprintf(`"pid":%q`, c.pid), fmt.Sprintf(`"offset":%q`, offset))
}

// drop loses the client's connection.
func (c *chat) drop() {
	_ = c.nc.Close()
	c.ended()
}

// A client that reconnects is in its rooms again, and receives each message that it
// missed once and in order.
func TestRecovery(t *testing.T) {
	t.Parallel()
	for name, elsewhere := range map[string]bool{"same edge": false, "other edge": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			to := w
			if elsewhere {
				to = w.another()
			}
			a := w.chat("ann")
			a.join("r")
			a.join("q")
			w.owner.Say("r", "x", "1")
			a.expectMessages("r1")
			w.owner.Say("q", "x", "1")
			a.expectMessages("r1 q1")
			w.owner.Say("r", "x", "2")
			a.expectMessages("r1 q1 r2")
			a.drop()
			w.owner.Say("q", "x", "missed")
			w.owner.Say("r", "x", "missed")

			b := a.back(to, "ann", "1.r") // q1 and r2 were lost with the connection
			expect(t, "pid", b.pid, a.pid)
			eventually.True(t, "nothing missed", func() bool { return len(strings.Fields(b.messages())) >= 4 })
			expect(t, "room r", only(b.messages(), "r"), "r2 r3")
			expect(t, "room q", only(b.messages(), "q"), "q1 q2")
			all, _ := b.received()
			if !strings.HasPrefix(all[1], "40/chat,") {
				t.Errorf("CONNECT is not answered first: %q", all)
			}
			if r := b.reply("sendMessage", `{"roomId":"q","content":"mine"}`); !r.Success {
				t.Errorf("send: %+v", r)
			}
			c := b.back(w, "ann", "3.q") // and once more, back again
			expect(t, "pid", c.pid, a.pid)
			w.owner.Say("r", "x", "4")
			eventually.True(t, "live", func() bool { return strings.HasSuffix(only(c.messages(), "r"), "r4") })
			expect(t, "the replaced connection", b.ended().code, 4004)
		})
	}
}

// only keeps what concerns a room.
func only(messages, room string) string {
	var kept []string
	for _, m := range strings.Fields(messages) {
		if strings.HasPrefix(m, room) {
			kept = append(kept, m)
		}
	}
	return strings.Join(kept, " ")
}

// When the edge is not certain what the client received, it opens a new session.
func TestNoRecovery(t *testing.T) {
	t.Parallel()
	w := start(t)
	setup := func(t *testing.T) *chat {
		a := w.chat("ann")
		room := fmt.Sprint("r", rand.Uint32())
		a.join(room)
		w.owner.Say(room, "x", "1")
		a.expectMessages(room + "1")
		return a
	}
	for name, come := range map[string]func(t *testing.T, a *chat, room string) *chat{
		"another user":         func(t *testing.T, a *chat, room string) *chat { a.drop(); return a.back(w, "bob", "1."+room) },
		"no offset":            func(t *testing.T, a *chat, room string) *chat { a.drop(); return a.back(w, "ann", "") },
		"offset of the future": func(t *testing.T, a *chat, room string) *chat { a.drop(); return a.back(w, "ann", "2."+room) },
		"another room":         func(t *testing.T, a *chat, room string) *chat { a.drop(); return a.back(w, "ann", "1.other") },
		"after a goodbye": func(t *testing.T, a *chat, room string) *chat {
			a.say("41/chat,")
			eventually.True(t, "it has left", func() bool { return len(w.owner.Members(room)) == 0 })
			return a.back(w, "ann", "1."+room)
		},
		"unknown pid": func(t *testing.T, a *chat, room string) *chat {
			a.drop()
			return w.chat("ann", `"pid":"xyz"`, `"offset":"1.r"`)
		},
		"an edge that is gone": func(t *testing.T, a *chat, room string) *chat {
			return w.chat("ann", fmt.Sprintf(`"pid":%q`, a.pid[:len(a.pid)-8]+"aaaaaaaa"), `"offset":"1.r"`)
		},
		"messages that are gone": func(t *testing.T, a *chat, room string) *chat {
			a.drop()
			w.owner.Say(room, "x", "2")
			w.owner.Say(room, "x", "3")
			w.owner.Forget(room, 2)
			return a.back(w, "ann", "1."+room)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := setup(t)
			room := strings.TrimSuffix(a.messages(), "1")
			b := come(t, a, room)
			if b.pid == a.pid {
				t.Error("recovered")
			}
			if r := b.reply("sendMessage", fmt.Sprintf(`{"roomId":%q,"content":"x"}`, room)); r.Error != "NOT_IN_ROOM" {
				t.Errorf("still in the room: %+v", r)
			}
			b.join(room)
			seq := w.owner.Say(room, "x", "live")
			b.expectMessages(fmt.Sprint(room, seq))
		})
	}
}

// When a room cannot be joined again the client gets a new session, and the old one is
// in no room.
func TestRecoveryWithoutOwner(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.chat("ann")
	a.join("r")
	w.owner.Say("r", "x", "1")
	a.expectMessages("r1")
	a.drop()
	w.owner.Say("r", "x", "2")
	w.owner.SilenceOp("hist")
	b := a.back(w, "ann", "1.r")
	if b.pid == a.pid {
		t.Error("recovered")
	}
	eventually.True(t, "the room is empty", func() bool { return len(w.owner.Members("r")) == 0 })
	expect(t, "received", b.messages(), "")
}

// A client that reconnects in the middle of several rooms' messages receives each of
// them once and in order. In each round it has received the messages up to a random one.
// Nothing is missing, whether the session was recovered or not.
func TestRecoveryAnywhere(t *testing.T) {
	t.Parallel()
	w := start(t)
	rnd := rand.New(rand.NewPCG(7, 7))
	rooms := []string{"a", "b", "c"}
	c := w.chat("ann")
	other := w.chat("bob") // keeps the rooms alive
	for _, r := range rooms {
		c.join(r)
		other.join(r)
	}
	had := map[string]uint64{}
	next := map[string]uint64{}
	recovered := 0
	for round := range 8 {
		for range 5 + rnd.IntN(20) {
			r := rooms[rnd.IntN(len(rooms))]
			next[r] = w.owner.Say(r, "x", "x")
		}
		var sure []string
		eventually.True(t, fmt.Sprint("everything has come in round ", round, ": had ", had, ", next ", next, ", received ", c.messages()), func() bool {
			sure = strings.Fields(c.messages())
			last := map[string]bool{}
			for _, m := range sure {
				last[m] = true
			}
			for r, n := range next {
				if n > had[r] && !last[fmt.Sprint(r, n)] {
					return false
				}
			}
			return true
		})
		for i, m := range sure { // in order, once
			r, n := m[:1], had[m[:1]]+1
			if m != fmt.Sprint(r, n) {
				t.Fatalf("round %d: %q at %d, want %s%d", round, sure, i, r, n)
			}
			had[r] = n
		}
		if len(sure) == 0 {
			continue
		}
		keep := 1 + rnd.IntN(len(sure))
		for _, m := range sure[keep:] { // these it has not received after all
			r := m[:1]
			var n uint64
			fmt.Sscan(m[1:], &n)
			had[r] = min(had[r], n-1)
		}
		last := sure[keep-1]
		c.drop()
		before := c.pid
		c = c.back(w, "ann", last[1:]+"."+last[:1])
		if c.pid == before {
			recovered++
			continue
		}
		for _, r := range rooms { // a new session: join from the last message of each room
			c.reply("joinRoom", fmt.Sprintf(`{"roomId":%q,"since":%d}`, r, had[r]))
		}
	}
	if recovered == 0 {
		t.Error("never recovered")
	}
}

// A lost session can be recovered after its user has left the rooms.
func TestRecoveryAfterTheGrace(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.chat("ann")
	a.join("r")
	w.owner.Say("r", "x", "1")
	a.expectMessages("r1")
	a.drop()
	eventually.True(t, "the room is empty", func() bool { return len(w.owner.Members("r")) == 0 })
	w.owner.Say("r", "x", "2")
	b := a.back(w, "ann", "1.r")
	expect(t, "pid", b.pid, a.pid)
	b.expectMessages("r2")
}
