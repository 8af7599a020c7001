package hub_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
)

// reader is a client that checks what it is sent: every message once, in order.
type reader struct {
	*client
	next     uint64        // the seq that must come
	follower *hub.Follower // nil: a member
	inRoom   bool
}

// TestEveryMessageOnce: however members come, go, catch up and begin anew while
// messages arrive in batches of any size, each is sent every message after its
// starting point exactly once and in order, and in the end all of them.
func TestEveryMessageOnce(tt *testing.T) {
	tt.Parallel()
	rapid.Check(tt, func(t *rapid.T) {
		w := newWorld(tt, 2)
		r := w.NewRoom("r", 0)
		head := rapid.Uint64Range(0, 50).Draw(t, "head")
		var readers []*reader
		for i := range 4 {
			c := w.client(fmt.Sprint(i), i%2)
			readers = append(readers, &reader{client: c})
		}
		check := func() {
			for _, c := range readers {
				for _, what := range strings.Fields(c.received()) {
					if what != fmt.Sprint(c.next) {
						t.Fatalf("%s was sent %s, want %d", c.User.ID, what, c.next)
					}
					c.next++
				}
			}
		}
		pick := func(t *rapid.T) *reader { return readers[rapid.IntRange(0, len(readers)-1).Draw(t, "who")] }
		page := func(c *reader, n uint64) {
			if c.follower != nil && !c.follower.Ended() {
				c.follower.Start()
				from := c.follower.Position() + 1
				c.follower.SendPage(items(from, min(head, from+n-1)))
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { check() },
			"messages": func(t *rapid.T) {
				n := rapid.Uint64Range(1, 5).Draw(t, "n")
				r.AddMessages(items(head+1, head+n))
				head += n
			},
			"flush": func(*rapid.T) { r.Flush() },
			"turn":  func(t *rapid.T) { w.loops[rapid.IntRange(0, 1).Draw(t, "loop")].Turn(epoch) },
			"join": func(t *rapid.T) {
				c := pick(t)
				if c.inRoom {
					t.Skip("is there")
				}
				c.inRoom, c.follower, c.next = true, nil, head+1
				c.join(r, head)
			},
			"follow": func(t *rapid.T) {
				c := pick(t)
				// Up to three beyond the head: the edge may know less than the client.
				pos := rapid.Uint64Range(0, head+3).Draw(t, "pos")
				c.enter(r, head, func(p *hub.LocalRoom) {
					check() // what came until now
					var fresh bool
					if c.follower, fresh = p.Follow(&c.Client, pos); !fresh {
						r.Leave(c.loop, 0)
					}
					if rapid.Bool().Draw(t, "at once") {
						c.follower.Start()
					}
					c.inRoom, c.next = true, pos+1
				})
				w.turn()
			},
			"page": func(t *rapid.T) { page(pick(t), rapid.Uint64Range(1, 40).Draw(t, "n")) },
			"leave": func(t *rapid.T) {
				c := pick(t)
				w.turn()
				check()
				c.leave(r)
				c.inRoom = false
			},
		})
		r.AddMessages(items(head+1, head+4)) // past every starting point
		head += 4
		r.Flush()
		w.turn()
		for _, c := range readers {
			page(c, head)
		}
		check()
		for _, c := range readers {
			if c.inRoom && c.next != head+1 {
				t.Fatalf("%s is at %d of %d", c.User.ID, c.next-1, head)
			}
		}
	})
}
