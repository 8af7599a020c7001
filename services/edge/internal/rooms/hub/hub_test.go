package hub_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/codec/native"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn/conntest"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

var epoch = time.Unix(1_700_000_000, 0)

// world is a hub on loops that the test turns by hand.
type world struct {
	tb    testing.TB
	loops []*poll.Loop
	now   time.Time
	*hub.Hub
}

func newWorld(tb testing.TB, loops int) *world {
	w := &world{tb: tb, now: epoch}
	for range loops {
		l := poll.NewManual(epoch, time.Second)
		l.SetClock(func() time.Time { return w.now })
		w.loops = append(w.loops, l)
	}
	w.Hub = hub.New(w.loops, native.Codec{})
	return w
}

func (w *world) turn() {
	for _, l := range w.loops {
		l.Turn(w.now)
	}
}

// client is a connection that keeps what it is sent.
type client struct {
	w *world
	hub.Client
	loop    int
	frames  []byte
	sends   int
	classes []conn.Class
}

func (w *world) client(user string, loop int) *client {
	c := &client{w: w, loop: loop, Client: hub.Client{User: wire.User{ID: user}}}
	w.Local(loop).Add(&c.Client, c)
	return c
}

func (c *client) Send(frames []byte, class conn.Class) bool {
	c.frames = append(c.frames, frames...)
	c.sends++
	c.classes = append(c.classes, class)
	return true
}

func (c *client) Close(code.Close, string) {}

// enter has fn called with the client's part of r, as the feeder does it.
func (c *client) enter(r *hub.Room, live uint64, fn func(*hub.LocalRoom)) {
	r.Enter(c.loop, 0, live, fn)
}

func (c *client) join(r *hub.Room, live uint64) {
	c.enter(r, live, func(p *hub.LocalRoom) {
		if !p.Join(&c.Client) {
			r.Leave(c.loop, 0)
		}
	})
}

func (c *client) leave(r *hub.Room) {
	if p := c.LocalRoom(r.ID); p != nil && p.Leave(&c.Client) {
		r.Leave(c.loop, 0)
	}
}

// received returns what came since the last call, in short: seqs, gaps, events.
func (c *client) received() string {
	var all []string
	for _, f := range conntest.ParseFrames(c.w.tb, c.frames) {
		var m struct {
			Event string
			Data  struct {
				Seq, From, To uint64
			}
		}
		if err := json.Unmarshal([]byte(f.Payload), &m); err != nil {
			c.w.tb.Fatalf("frame %q: %v", f.Payload, err)
		}
		switch m.Event {
		case "receiveMessage":
			all = append(all, fmt.Sprint(m.Data.Seq))
		case "gap":
			all = append(all, fmt.Sprintf("gap%d-%d", m.Data.From, m.Data.To))
		default:
			all = append(all, m.Event)
		}
	}
	c.frames, c.sends, c.classes = nil, 0, nil
	return strings.Join(all, " ")
}

func items(from, to uint64) []wire.Item {
	var list []wire.Item
	for seq := from; seq <= to; seq++ {
		list = append(list, wire.Item{Seq: seq, JSON: fmt.Appendf(nil, `{"seq":%d}`, seq)})
	}
	return list
}

func expect(t *testing.T, c *client, want string) {
	t.Helper()
	if got := c.received(); got != want {
		t.Errorf("%s received %q, want %q", c.User.ID, got, want)
	}
}

func TestMembersGetOneSendForWhatWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	r := w.NewRoom("r", 0)
	a, b := w.client("a", 0), w.client("b", 1)
	a.join(r, 0)
	b.join(r, 0)
	w.turn()
	r.AddMessages(items(1, 2)) // one drain of the feeder
	r.AddMessages(items(3, 3))
	r.Flush()
	r.AddMessages(items(4, 4)) // another, before the loop had its turn
	r.Flush()
	w.turn()
	for _, c := range []*client{a, b} {
		if c.sends != 1 {
			t.Errorf("%s: %d sends, want 1", c.User.ID, c.sends)
		}
		expect(t, c, "1 2 3 4")
	}
	if n := w.Delivered(); n != 8 {
		t.Errorf("%d delivered, want 8", n)
	}
}

func TestOrderOfDifferentThings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	r := w.NewRoom("r", 0)
	a := w.client("a", 0)
	a.join(r, 4)
	r.AddMessages(items(5, 6))
	r.AddEvent(hub.Event{Name: "userTyping", Data: []byte(`{}`), Class: conn.Typing})
	r.AddMessages(items(7, 7))
	r.AddGap(8, 9)
	r.AddMessages(items(10, 10))
	r.Flush()
	w.turn()
	if got, want := fmt.Sprint(a.classes), fmt.Sprint([]conn.Class{conn.Message, conn.Typing, conn.Message, conn.Message, conn.Message}); got != want {
		t.Errorf("classes %v, want %v", got, want)
	}
	expect(t, a, "5 6 userTyping 7 gap8-9 10")
}

func TestWhoIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		event   hub.Event
		a, b    string
		crowded bool // room r1
	}{
		"everybody":                    {event: hub.Event{}, a: "e", b: "e"},
		"all but one":                  {event: hub.Event{Except: "a"}, b: "e"},
		"only one":                     {event: hub.Event{Only: "a"}, a: "e"},
		"reached in an earlier room":   {event: hub.Event{Rooms: []string{"r1", "r2"}}, a: "", b: "e"},
		"reached in a later room":      {event: hub.Event{Rooms: []string{"r2", "r1"}}, a: "e", b: "e"},
		"the earlier room is too full": {event: hub.Event{Rooms: []string{"r1", "r2"}}, a: "e", b: "e", crowded: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			r1, r2 := w.NewRoom("r1", 0), w.NewRoom("r2", 0)
			r1.SetCrowded(c.crowded)
			a, b := w.client("a", 0), w.client("b", 0)
			a.join(r1, 0)
			a.join(r2, 0)
			b.join(r2, 0)
			c.event.Name, c.event.Data = "e", []byte(`{}`)
			r2.AddEvent(c.event)
			r2.Flush()
			w.turn()
			expect(t, a, c.a)
			expect(t, b, c.b)
		})
	}
}

func TestEveryone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	a, b, gone := w.client("a", 0), w.client("b", 1), w.client("c", 1)
	w.Local(1).Remove(&gone.Client)
	w.SendToAll(hub.Event{Name: "userOnline", Data: []byte(`{}`), Except: "a"})
	w.turn()
	expect(t, a, "")
	expect(t, b, "userOnline")
	expect(t, gone, "")
}

func TestJoinSplitsWhatWasBrought(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	r := w.NewRoom("r", 0)
	a, b := w.client("a", 0), w.client("b", 0)
	a.join(r, 0)
	r.AddMessages(items(1, 2))
	b.join(r, 2) // nothing was flushed by hand
	r.AddMessages(items(3, 3))
	r.Flush()
	w.turn()
	expect(t, a, "1 2 3")
	expect(t, b, "3")
}

func TestLeave(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	r := w.NewRoom("r", 0)
	var all []*client
	for i := range 5 {
		c := w.client(fmt.Sprint(i), 0)
		c.join(r, 0)
		all = append(all, c)
	}
	w.turn()
	all[0].leave(r) // the last takes its membership
	all[4].leave(r)
	r.AddMessages(items(1, 1))
	r.Flush()
	w.turn()
	for i, want := range []string{"", "1", "1", "1", ""} {
		expect(t, all[i], want)
	}
	if r.Members() != 3 || all[0].Rooms() != 0 || all[1].Rooms() != 1 {
		t.Errorf("%d members, rooms %d and %d", r.Members(), all[0].Rooms(), all[1].Rooms())
	}
}

func TestFollower(t *testing.T) {
	t.Parallel()
	follow := func(w *world, r *hub.Room, c *client, live, pos uint64) *hub.Follower {
		var f *hub.Follower
		c.enter(r, live, func(p *hub.LocalRoom) {
			f, _ = p.Follow(&c.Client, pos)
			f.Start()
		})
		w.turn()
		return f
	}
	live := func(w *world, r *hub.Room, from, to uint64) {
		r.AddMessages(items(from, to))
		r.Flush()
		w.turn()
	}
	for name, play := range map[string]struct {
		do   func(*world, *hub.Room, *client)
		want string
	}{
		"nothing missed": {func(w *world, r *hub.Room, c *client) {
			follow(w, r, c, 5, 5)
			live(w, r, 6, 7)
		}, "6 7"},
		"one page": {func(w *world, r *hub.Room, c *client) {
			f := follow(w, r, c, 5, 2)
			f.SendPage(items(3, 5))
			live(w, r, 6, 6)
		}, "3 4 5 6"},
		"live messages before the page": {func(w *world, r *hub.Room, c *client) {
			f := follow(w, r, c, 5, 2)
			live(w, r, 6, 7)
			f.SendPage(items(3, 5))
			live(w, r, 8, 8)
		}, "3 4 5 6 7 8"},
		"page beyond the live messages": {func(w *world, r *hub.Room, c *client) {
			f := follow(w, r, c, 5, 2)
			f.SendPage(items(3, 8))
			live(w, r, 6, 7)
			live(w, r, 8, 9)
		}, "3 4 5 6 7 8 9"},
		"page beyond, one batch over the edge": {func(w *world, r *hub.Room, c *client) {
			f := follow(w, r, c, 5, 2)
			f.SendPage(items(3, 8))
			live(w, r, 6, 10)
		}, "3 4 5 6 7 8 9 10"},
		"ahead of the live messages": {func(w *world, r *hub.Room, c *client) {
			follow(w, r, c, 5, 7)
			live(w, r, 6, 8)
		}, "8"},
		"more than it may hold": {func(w *world, r *hub.Room, c *client) {
			f := follow(w, r, c, 5, 4)
			for seq := uint64(6); seq < 200; seq++ {
				live(w, r, seq, seq)
			}
			f.SendPage(items(5, 100))
			if f.Ended() {
				w.tb.Error("done with messages missing")
			}
			f.SendPage(items(101, 150))
			live(w, r, 200, 200)
		}, strings.TrimSpace(fmt.Sprintln(seqs(5, 200)))},
		"a gap in the history": {func(w *world, r *hub.Room, c *client) {
			f := follow(w, r, c, 5, 1)
			f.SkipTo(3)
			f.SendPage(items(4, 5))
			live(w, r, 6, 6)
		}, "4 5 6"},
		"a live gap": {func(w *world, r *hub.Room, c *client) {
			f := follow(w, r, c, 5, 4)
			r.AddGap(6, 8)
			live(w, r, 9, 9)
			f.SendPage(items(5, 5))
		}, "5 gap6-8 9"},
		"presence is sent, typing is not": {func(w *world, r *hub.Room, c *client) {
			f := follow(w, r, c, 5, 4)
			r.AddEvent(hub.Event{Name: "userJoined", Data: []byte(`{}`), Class: conn.Presence})
			r.AddEvent(hub.Event{Name: "userTyping", Data: []byte(`{}`), Class: conn.Typing})
			live(w, r, 6, 6)
			f.SendPage(items(5, 5))
		}, "userJoined 5 6"},
		"nothing before it begins": {func(w *world, r *hub.Room, c *client) {
			var f *hub.Follower
			c.enter(r, 5, func(p *hub.LocalRoom) { f, _ = p.Follow(&c.Client, 5) })
			r.AddEvent(hub.Event{Name: "userJoined", Data: []byte(`{}`), Class: conn.Presence})
			live(w, r, 6, 6)
			if got := c.received(); got != "" {
				w.tb.Errorf("received %s", got)
			}
			f.Start()
			live(w, r, 7, 7)
		}, "userJoined 6 7"},
		"begins anew": {func(w *world, r *hub.Room, c *client) {
			first := follow(w, r, c, 5, 3)
			second := follow(w, r, c, 5, 4)
			first.SendPage(items(4, 5))
			second.SendPage(items(5, 5))
			live(w, r, 6, 6)
		}, "5 6"},
		"leaves": {func(w *world, r *hub.Room, c *client) {
			f := follow(w, r, c, 5, 3)
			c.leave(r)
			f.SendPage(items(4, 5))
			live(w, r, 6, 6)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			r := w.NewRoom("r", 0)
			other := w.client("other", 0)
			other.join(r, 5)
			c := w.client("c", 0)
			play.do(w, r, c)
			expect(t, c, play.want)
		})
	}
}

func seqs(from, to uint64) string {
	var s []string
	for seq := from; seq <= to; seq++ {
		s = append(s, fmt.Sprint(seq))
	}
	return strings.Join(s, " ")
}
