package proctest_test

import (
	"fmt"
	"testing"

	"github.com/confab-chat/confab/tools/internal/cluster/clustertest"
	"github.com/confab-chat/confab/tools/internal/workload"
	"github.com/confab-chat/confab/tools/sioclient"
)

// seen is what the tests read of any payload.
type seen struct {
	Success   bool
	Recovered bool
	RoomID    string
	Seq       uint64
}

// messages returns room and seq of the messages that a socket has received, in order.
func messages(tb testing.TB, all []sioclient.Happening) (list []string) {
	for _, h := range all {
		var m seen
		h.Decode(tb, 0, &m)
		list = append(list, fmt.Sprint(m.RoomID, m.Seq))
	}
	return list
}

// TestSocketRecovery cuts a real client's connection. On another edge it is recovered as long as
// the first edge lives. After SIGKILL of the edge it starts anew, joins with the last seq that it
// has, and misses no message either.
func TestSocketRecovery(t *testing.T) {
	t.Parallel()
	sioclient.Need(t)
	for name, transports := range map[string]any{"default": nil, "websocket": []string{"websocket"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clustertest.New(t)
			c.Start("nats1", "room1", "ratelimit1", "monitor1", "edge1", "edge2")
			c.Probe("edge1", "/readyz", 200)
			c.Probe("edge2", "/readyz", 200)
			c.WaitHealthy()
			n := sioclient.Start(t, sioclient.Libraries()[0])
			line := clustertest.Forward(t, c.Parts["edge1"].Public)
			opts := func(user string) map[string]any {
				o := map[string]any{"auth": map[string]any{"token": workload.Token(user)}}
				if transports != nil {
					o["transports"] = transports
				}
				return o
			}
			a := n.Open("http://"+line.Addr+"/chat", opts("ann"))
			b := n.Open("http://"+c.Parts["edge2"].Public+"/chat", opts("bob"))
			var s seen
			a.Wait("connect", 1, &s)
			b.Wait("connect", 1, &s)
			counts := map[string]int{}
			for _, room := range []string{"p", "q"} {
				for _, who := range []*sioclient.Socket{a, b} {
					if who.Ask(&s, "joinRoom", map[string]any{"roomId": room}); !s.Success {
						t.Fatalf("join: %+v", s)
					}
				}
			}
			say := func(room string) {
				b.Ask(&s, "sendMessage", map[string]any{"roomId": room, "content": "x"})
				counts[room]++
			}
			hasAll := func() {
				t.Helper()
				a.Until("receiveMessage", fmt.Sprint("all messages: ", counts), func(all []sioclient.Happening) bool {
					return len(all) >= counts["p"]+counts["q"]
				})
				next := map[string]int{}
				for _, m := range messages(t, a.Heard("receiveMessage")) {
					if next[m[:1]]++; m != fmt.Sprint(m[:1], next[m[:1]]) {
						t.Fatalf("heard %s, want %s%d", m, m[:1], next[m[:1]])
					}
				}
			}
			say("p")
			say("q")
			say("p")
			hasAll()

			line.Cut(c.Parts["edge2"].Public)
			say("q")
			say("p")
			if a.Wait("connect", 2, &s); !s.Recovered {
				t.Error("not recovered on the other edge")
			}
			say("q")
			hasAll()
			if a.Ask(&s, "sendMessage", map[string]any{"roomId": "q", "content": "mine"}); !s.Success {
				t.Errorf("its rooms are not joined again: %+v", s)
			}
			counts["q"]++
			hasAll()

			line.Cut(c.Parts["edge1"].Public)
			if a.Wait("connect", 3, &s); !s.Recovered {
				t.Error("not recovered on the way back")
			}
			say("p")
			hasAll()

			line.Cut(c.Parts["edge1"].Public) // and before it can reconnect:
			c.Kill("edge1")
			say("q")
			c.Start("edge1")
			if a.Wait("connect", 4, &s); s.Recovered {
				t.Error("recovered from an edge that was killed")
			}
			for _, room := range []string{"p", "q"} {
				have := 0
				for _, m := range messages(t, a.Heard("receiveMessage")) {
					if m[:1] == room {
						have++
					}
				}
				if a.Ask(&s, "joinRoom", map[string]any{"roomId": room, "since": have}); !s.Success || !s.Recovered {
					t.Errorf("join since %d: %+v", have, s)
				}
			}
			say("q")
			say("p")
			hasAll()
		})
	}
}

// TestPollingAnywhere puts a balancer without sticky sessions in front of two edges: a real client's
// requests arrive at both in turn.
func TestPollingAnywhere(t *testing.T) {
	t.Parallel()
	sioclient.Need(t)
	c := clustertest.New(t)
	c.Start("nats1", "room1", "ratelimit1", "monitor1", "edge1", "edge2")
	c.Probe("edge1", "/readyz", 200)
	c.Probe("edge2", "/readyz", 200)
	c.WaitHealthy()
	b := clustertest.Balance(t, c.Parts["edge1"], c.Parts["edge2"])
	for _, library := range sioclient.Libraries() {
		n := sioclient.Start(t, library)
		var s seen
		room := library
		open := func(user string, transports ...string) *sioclient.Socket {
			o := map[string]any{"auth": map[string]any{"token": workload.Token(user)}}
			if len(transports) > 0 {
				o["transports"] = transports
			}
			who := n.Open("http://"+b.Addr+"/chat", o)
			who.Wait("connect", 1, &s)
			if who.Ask(&s, "joinRoom", map[string]any{"roomId": room}); !s.Success {
				t.Fatalf("join: %+v", s)
			}
			return who
		}
		// With default transports the upgrade to WebSocket may arrive at the other edge.
		ann, bob := open("ann", "polling"), open("bob")
		const each = 20
		for i := range each {
			for _, who := range []*sioclient.Socket{ann, bob} {
				if who.Ask(&s, "sendMessage", map[string]any{"roomId": room, "content": fmt.Sprint(i)}); !s.Success {
					t.Fatalf("send: %+v", s)
				}
			}
		}
		for _, who := range []*sioclient.Socket{ann, bob} {
			who.Until("receiveMessage", "all messages", func(all []sioclient.Happening) bool { return len(all) >= 2*each })
			for i, m := range messages(t, who.Heard("receiveMessage")) {
				if m != fmt.Sprint(room, i+1) {
					t.Fatalf("heard %s as number %d", m, i+1)
				}
			}
			if gone := who.Heard("disconnect"); len(gone) > 0 {
				t.Errorf("disconnected: %v", gone)
			}
		}
	}
}
