package edge_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/confab-chat/confab/shared/eventually"
)

// resume joins with since.
func (c *client) resume(room string, since uint64) body {
	c.w.tb.Helper()
	f := c.ask("joinRoom", fmt.Sprintf(`{"roomId":%q,"since":%d}`, room, since))
	if f.Event != "joinedRoom" {
		c.w.tb.Fatalf("joinRoom: %s %s", f.Event, f.Data)
	}
	return f.body(c.w.tb)
}

// upTo waits until message seq has come.
func (c *client) upTo(seq uint64) {
	c.w.tb.Helper()
	c.wait(fmt.Sprint("message ", seq), func(all []frame) bool {
		for i := len(all) - 1; i >= 0; i-- {
			if all[i].Event == "receiveMessage" {
				return all[i].body(c.w.tb).Seq >= seq
			}
		}
		return false
	})
}

func numbers(from, to int) string {
	var list []string
	for n := from; n <= to; n++ {
		list = append(list, fmt.Sprint(n))
	}
	return strings.Join(list, " ")
}

func TestResume(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stored, forgotten int
		since             uint64
		recovered         bool
		want              string // what comes before message stored+1, which is said live
	}{
		"nothing missed":      {stored: 5, since: 5, recovered: true},
		"a few":               {stored: 5, since: 2, recovered: true, want: "3 4 5"},
		"everything":          {stored: 5, since: 0, recovered: true, want: "1 2 3 4 5"},
		"an empty room":       {stored: 0, since: 0, recovered: true},
		"many pages":          {stored: 1000, since: 3, recovered: true, want: numbers(4, 1000)},
		"above the head":      {stored: 5, since: 9, recovered: false},
		"far above the head":  {stored: 5, since: 1<<53 - 1, recovered: false},
		"part is gone":        {stored: 6, forgotten: 4, since: 2, recovered: false, want: "gap3-4 5 6"},
		"all of it but one":   {stored: 3, forgotten: 2, since: 0, recovered: false, want: "gap1-2 3"},
		"what is gone is old": {stored: 6, forgotten: 2, since: 2, recovered: true, want: "3 4 5 6"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			for i := range c.stored {
				w.owner.Say("r", "x", fmt.Sprint(i))
			}
			w.owner.Forget("r", c.forgotten)
			a := w.dial("ann")
			b := a.resume("r", c.since)
			if b.Recovered == nil || *b.Recovered != c.recovered || b.Seq != uint64(c.stored) {
				t.Errorf("reply %+v", b)
			}
			next := w.owner.Say("r", "x", "live")
			a.upTo(next)
			want := strings.TrimSpace(c.want + " " + fmt.Sprint(next))
			if got := seqs(t, a.received()); got != want {
				t.Errorf("received %s\nwant  %s", got, want)
			}
			if got := names(a.received()[:2]); got != "joinedRoom#1 roomUsers" {
				t.Errorf("began with %s", got)
			}
		})
	}
}

// A member asks again from the beginning: everything comes once more, then live.
func TestResumeOfAMember(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.dial("ann")
	a.join("r")
	for range 3 {
		w.owner.Say("r", "x", "x")
	}
	a.upTo(3)
	a.resume("r", 1)
	w.owner.Say("r", "x", "x")
	a.upTo(4)
	if got := seqs(t, a.received()); got != "1 2 3 2 3 4" {
		t.Errorf("received %s", got)
	}
	a.ask("leaveRoom", `{"roomId":"r"}`)
	eventually.True(t, "the owner counts no member", func() bool { return len(w.owner.Members("r")) == 0 })
}

// A resume while the history is not available is refused, and leaves no membership behind.
func TestResumeWithoutHistory(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.dial("ann")
	w.owner.Say("r", "x", "x")
	w.owner.SilenceOp("hist")
	if b := a.ask("joinRoom", `{"roomId":"r","since":0}`).body(t); b.Error != "UNAVAILABLE" {
		t.Errorf("reply %+v", b)
	}
	if b := a.ask("sendMessage", `{"roomId":"r","content":"x"}`).body(t); b.Error != "NOT_IN_ROOM" {
		t.Errorf("send: %+v", b)
	}
	eventually.True(t, "the owner counts no member", func() bool { return len(w.owner.Members("r")) == 0 })
	w.owner.SilenceOp("")
	a.resume("r", 0)
	a.upTo(1)
}

// Events that arrive while the missed messages are fetched follow the reply.
func TestNothingOvertakesTheReply(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.owner.Say("r", "x", "missed")
	w.owner.SilenceOp("hist")
	a, b := w.dial("ann"), w.dial("bob")
	id := a.say("joinRoom", `{"roomId":"r","since":0}`)
	eventually.True(t, "the history is asked for", func() bool { return len(w.owner.SeenOp("hist")) == 1 })
	b.join("r")
	w.owner.Say("r", "x", "live")
	b.upTo(2)
	w.owner.SilenceOp("")
	a.reply(id)
	a.upTo(2)
	if got := names(a.received()); got != "joinedRoom#1 roomUsers userJoined receiveMessage receiveMessage" {
		t.Errorf("received %s", got)
	}
}

// Clients leave, reconnect with since, and are cut off while others send: each receives
// every message exactly once, in order, over all its connections together.
func TestSpliceUnderTraffic(t *testing.T) {
	t.Parallel()
	w := start(t)
	const rooms, clients, messages = 2, 6, 600
	var wg sync.WaitGroup
	for r := range rooms {
		room := fmt.Sprint("room", r)
		for n := range clients {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(r), uint64(n)))
				had := uint64(0)
				for had < messages {
					c := w.dial(fmt.Sprint("user", n))
					c.resume(room, had)
					if rng.IntN(3) == 0 {
						c.resume(room, had) // begins anew
					}
					target := had + 1 + rng.Uint64N(messages-had)
					if rng.IntN(4) == 0 {
						target = messages
					}
					c.upTo(target)
					_ = c.nc.Close()
					had = checkRun(t, c, had)
				}
			})
		}
		wg.Go(func() {
			for range messages {
				w.owner.Say(room, "x", "x")
				if rand.IntN(8) == 0 {
					w.owner.Digest(room)
				}
				for range rand.IntN(4) {
					runtime.Gosched() // messages come in bursts of different lengths
				}
			}
		})
	}
	wg.Wait()
}

// checkRun checks that c received what follows had, and returns the last of it.
// A second resume on the same connection may begin again, once.
func checkRun(t *testing.T, c *client, had uint64) uint64 {
	last, started := had, false
	for _, f := range c.received() {
		if f.Event != "receiveMessage" {
			continue
		}
		switch seq := f.body(t).Seq; {
		case seq == last+1:
			last++
		case seq == had+1 && !started:
			last, started = seq, true
		default:
			t.Errorf("after %d came %d", last, seq)
			return seq
		}
	}
	return last
}

// A client that does not read is disconnected, and receives what it missed when it reconnects.
func TestSlowConsumerComesBack(t *testing.T) {
	t.Parallel()
	w := start(t, "OUTBOUND_QUEUE_BYTES=65536")
	slow, healthy := w.dialDeaf("ann"), w.dial("bob")
	slow.write(`{"event":"joinRoom","data":{"roomId":"r"}}`)
	eventually.True(t, "ann has joined", func() bool { return len(w.owner.Members("r")) == 1 })
	healthy.join("r")
	text := strings.Repeat("x", 2000)
	said := uint64(0)
	eventually.True(t, "ann is disconnected", func() bool {
		for range 10 {
			said = w.owner.Say("r", "x", text)
		}
		healthy.upTo(said)
		return len(w.owner.SeenOp("leave")) == 1
	})
	back := w.dial("ann")
	back.resume("r", 0)
	back.upTo(said)
	if got := seqs(t, back.received()); got != numbers(1, int(said)) {
		t.Errorf("received %.200s", got)
	}
}
