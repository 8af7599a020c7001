package proctest_test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/confab-chat/confab/tools/internal/proc"
	"github.com/confab-chat/confab/tools/internal/talk"
	"github.com/confab-chat/confab/tools/sioclient"
)

// cable is a connection's way to an edge that the test can cut and lay anew.
type cable struct {
	addr string

	mu    sync.Mutex // guards the following
	to    string
	conns map[net.Conn]struct{}
	over  bool
}

// lay makes a cable to an edge's public port.
func lay(tb testing.TB, to string) *cable {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	c := &cable{addr: ln.Addr().String(), to: to, conns: make(map[net.Conn]struct{})}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { c.carry(in) })
		}
	})
	tb.Cleanup(func() {
		ln.Close()
		c.cut("")
		running.Wait()
	})
	return c
}

// cut ends all connections without a word; new ones go to another edge, or nowhere.
func (c *cable) cut(to string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.to, c.over = to, to == ""
	for nc := range c.conns {
		if t, ok := nc.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
		nc.Close()
	}
}

func (c *cable) carry(in net.Conn) {
	c.mu.Lock()
	to, over := c.to, c.over
	c.mu.Unlock()
	defer in.Close()
	if over {
		return
	}
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	c.mu.Lock()
	c.conns[in], c.conns[out] = struct{}{}, struct{}{}
	c.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { copyAll(out, in) })
	both.Go(func() { copyAll(in, out) })
	both.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, in)
	delete(c.conns, out)
}

// copyAll ends both ways when one has ended.
func copyAll(dst, src net.Conn) {
	_, _ = io.Copy(dst, src) // either end may go at any time
	dst.Close()
	src.Close()
}

// seen is what the tests look at in any payload.
type seen struct {
	Success   bool
	Recovered bool
	RoomID    string
	Seq       uint64
}

// messages are room and seq of what a socket has been given, in order.
func messages(tb testing.TB, all []sioclient.Happening) (list []string) {
	for _, h := range all {
		var m seen
		h.Decode(tb, 0, &m)
		list = append(list, fmt.Sprint(m.RoomID, m.Seq))
	}
	return list
}

// TestSocketRecovery cuts a real client's line: on another edge it is recovered as
// long as the first one lives; after kill -9 it begins anew, joins from what it has,
// and nothing is missing either.
func TestSocketRecovery(t *testing.T) {
	t.Parallel()
	sioclient.Need(t)
	for name, transports := range map[string]any{"default": nil, "websocket": []string{"websocket"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := proc.NewCluster(t)
			c.All("nats1", "room1", "ratelimit1", "monitor1", "edge1", "edge2")
			c.Probe("edge1", "/readyz", 200)
			c.Probe("edge2", "/readyz", 200)
			c.Healthy()
			n := sioclient.Start(t, sioclient.Libraries()[0])
			line := lay(t, c.Parts["edge1"].Public)
			opts := func(user string) map[string]any {
				o := map[string]any{"auth": map[string]any{"token": talk.Token(user)}}
				if transports != nil {
					o["transports"] = transports
				}
				return o
			}
			a := n.Open("http://"+line.addr+"/chat", opts("ann"))
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
				a.Until("receiveMessage", fmt.Sprint("everything: ", counts), func(all []sioclient.Happening) bool {
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

			line.cut(c.Parts["edge2"].Public)
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

			line.cut(c.Parts["edge1"].Public)
			if a.Wait("connect", 3, &s); !s.Recovered {
				t.Error("not recovered on the way back")
			}
			say("p")
			hasAll()

			line.cut(c.Parts["edge1"].Public) // and while it is away:
			c.Parts["edge1"].Kill()
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

// TestPollingAnywhere puts a balancer that knows no stickiness in front of two edges:
// a real client's requests come now to this one, now to that one.
func TestPollingAnywhere(t *testing.T) {
	t.Parallel()
	sioclient.Need(t)
	c := proc.NewCluster(t)
	c.All("nats1", "room1", "ratelimit1", "monitor1", "edge1", "edge2")
	c.Probe("edge1", "/readyz", 200)
	c.Probe("edge2", "/readyz", 200)
	c.Healthy()
	b := proc.Balance(t, c.Parts["edge1"], c.Parts["edge2"])
	for _, library := range sioclient.Libraries() {
		n := sioclient.Start(t, library)
		var s seen
		room := library
		open := func(user string, transports ...string) *sioclient.Socket {
			o := map[string]any{"auth": map[string]any{"token": talk.Token(user)}}
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
		// With default transports the change to WebSocket may come to the other edge.
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
