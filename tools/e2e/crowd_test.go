package e2e_test

import (
	"fmt"
	"sync"
)

// Crowd: with more than 200 members a room announces counts instead of names.
func (contract) Crowd(sc *scene) {
	const limit = 200
	ann := sc.withPresence("ann")
	ann.join("#r")
	others := make([]*conn, limit) // with ann one too many
	for i := range others {
		others[i] = sc.conn(fmt.Sprintf("user%d", i))
	}
	enter := func(c *conn, total int) {
		c.do(`joinRoom {"roomId":"#r"}`)
		reply := c.until("re joinedRoom")
		users := c.until("roomUsers")
		active, _ := reply.get("activeUsers").([]any)
		listed, _ := users.get("users").([]any)
		if len(active) > limit || len(listed) > limit || total > 0 && (users.seq("total") != uint64(total) || len(listed) != min(total, limit)) {
			sc.Errorf("%s: %d active, %d listed, total %d", c.user, len(active), len(listed), users.seq("total"))
		}
	}
	// A few at a time: each join is announced to all members, which on a slow machine takes
	// longer than a request may take.
	waiting := make(chan *conn, limit)
	for _, c := range others[:limit-1] {
		waiting <- c
	}
	close(waiting)
	var entering sync.WaitGroup
	for range 4 {
		entering.Go(func() {
			for c := range waiting {
				enter(c, 0)
			}
		})
	}
	entering.Wait()
	joined, online := 0, 0
	for joined < limit-1 || online < limit-1 {
		switch f := ann.next(); f.Event {
		case "userJoined":
			joined++
		case "userOnline":
			online++
		default:
			sc.Fatalf("unexpected %s", f)
		}
	}
	last := others[limit-1]
	enter(last, limit+1)
	f := ann.want("roomUsers")
	listed, _ := f.get("users").([]any)
	if f.seq("total") != limit+1 || len(listed) != limit {
		sc.Errorf("total %d, listed %d", f.seq("total"), len(listed))
	}
	// Nothing about a single user any more; messages as ever.
	last.do(`updatePresence {"status":"busy"}`)
	last.until("re presenceUpdated")
	last.do(`typing {"roomId":"#r","isTyping":true}`)
	last.until("re typingUpdated")
	last.do(`sendMessage {"roomId":"#r","content":"to all of you"}`)
	last.until("re messageSent")
	m := ann.want(received(last.user, "#r", "to all of you", 1))
	for _, c := range others {
		c.until("receiveMessage")
	}
	last.do(`messageRead {"roomId":"#r","messageId":"` + m.text("id") + `"}`)
	last.until("re messageRead")
	last.do(`getRoomStats {"roomId":"#r"}`)
	stats := last.until("re roomStatsRetrieved")
	if users, _ := stats.get("users").([]any); len(users) != limit || stats.seq("userCount") != limit+1 {
		sc.Errorf("%d users listed, userCount %d", len(users), stats.seq("userCount"))
	}
	ann.says("#r", "and that was all", 2)
}
