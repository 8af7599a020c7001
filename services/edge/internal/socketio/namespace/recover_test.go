package namespace

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/session"
	"github.com/confab-chat/confab/services/edge/internal/socketio/peers"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/shared/natsconn"
)

// fleet is several edges that ask each other without NATS. Each has one loop, which runs
// on a goroutine of the test's bubble.
type fleet struct {
	t     *testing.T
	edges map[string]*Server // by token
	asked []string           // tokens
}

// Do implements peers.Asker: it passes the request to the edge of the subject.
func (f *fleet) Do(subj string, _ nats.Header, data []byte, _ time.Duration, done natsconn.Done) {
	for token, s := range f.edges {
		if subj != subject.EdgePeer(token, subject.OpRecover) {
			continue
		}
		var m wire.Recover
		if err := wire.Unmarshal(data, &m); err != nil {
			f.t.Error(err)
		}
		f.asked = append(f.asked, token)
		s.Release(m, func(r *wire.Recovered) { done(&nats.Msg{Data: wire.Marshal(r)}, nil) })
		return
	}
	done(nil, nats.ErrNoResponders)
}

func (f *fleet) add() *Server {
	loop := poll.NewManual(time.Now(), time.Second)
	s := New(Options{
		Core:  &session.Core{Options: session.Options{Loops: []*poll.Loop{loop}, Hub: hub.New([]*poll.Loop{loop})}},
		Peers: peers.New(nil, f, nil),
	})
	f.edges[s.Peers.Token()] = s
	ctx := f.t.Context()
	go func() {
		for ctx.Err() == nil {
			loop.Turn(time.Now())
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	return s
}

// lose adds a lost session without rooms and returns its private id.
func (s *Server) lose(user string) (pid string) {
	pid = s.Peers.NewID()
	s.recoverables.mu.Lock()
	defer s.recoverables.mu.Unlock()
	s.recoverables.replaceLocked(pid, &recoverable{loop: s.Core.Loops[0], user: user}, keepLost)
	return pid
}

// recoverAt looks for a session as a client of s does.
func (s *Server) recoverAt(pid, user string) *wire.Recovered {
	return s.releaseAnywhere(wire.Recover{PID: pid, User: user, Edge: s.Peers.Token(), Room: "r", Seq: 1})
}

// runFleet runs a test with n edges.
func runFleet(t *testing.T, n int, test func(f *fleet, edges []*Server)) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{t: t, edges: make(map[string]*Server)}
		var edges []*Server
		for range n {
			edges = append(edges, f.add())
		}
		test(f, edges)
	})
}

// A lost session is recovered once, at any edge, by its user only.
func TestRecoverLostSession(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at   int // the edge
		pid  func(s *Server, pid string) string
		user string
		want bool
	}{
		"same edge":            {0, nil, "ann", true},
		"other edge":           {1, nil, "ann", true},
		"other user":           {0, nil, "bob", false},
		"other user and edge":  {1, nil, "bob", false},
		"unknown id":           {0, func(s *Server, _ string) string { return s.Peers.NewID() }, "ann", false},
		"unknown id elsewhere": {1, func(s *Server, _ string) string { return s.Peers.NewID() }, "ann", false},
		"no such edge":         {1, func(_ *Server, pid string) string { return pid[:22] + "aaaaaaaa" }, "ann", false},
		"malformed id":         {0, func(*Server, string) string { return "x" }, "ann", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runFleet(t, 2, func(_ *fleet, edges []*Server) {
				lost := edges[0].lose("ann")
				pid := lost
				if c.pid != nil {
					pid = c.pid(edges[0], lost)
				}
				if got := edges[c.at].recoverAt(pid, c.user); got.Exact != c.want {
					t.Errorf("recovered: %v", got.Exact)
				}
				if got := edges[c.at].recoverAt(pid, c.user); got.Exact {
					t.Error("recovered twice")
				}
				if got := edges[0].recoverAt(lost, "ann"); got.Exact == c.want {
					t.Errorf("still there: %v", got.Exact)
				}
			})
		})
	}
}

// A session that has moved is found through the edges that released it, up to maxHops.
func TestRecoverFollowsMoves(t *testing.T) {
	t.Parallel()
	for hops := 1; hops <= maxHops+1; hops++ {
		t.Run(fmt.Sprint(hops), func(t *testing.T) {
			t.Parallel()
			runFleet(t, hops+1, func(f *fleet, edges []*Server) {
				last, client := edges[hops-1], edges[hops]
				pid := edges[0].Peers.NewID()
				for i, s := range edges[:hops-1] {
					s.recoverables.byPID[pid] = &recoverable{movedTo: edges[i+1].Peers.Token()}
				}
				last.recoverables.byPID[pid] = &recoverable{loop: last.Core.Loops[0], user: "ann"}
				if got := client.recoverAt(pid, "ann"); got.Exact != (hops <= maxHops) {
					t.Errorf("recovered %v after asking %v", got.Exact, f.asked)
				}
				if len(f.asked) != min(hops, maxHops) {
					t.Errorf("asked %v", f.asked)
				}
				if hops <= maxHops && last.recoverables.find(pid).movedTo != client.Peers.Token() {
					t.Error("the last edge does not know where the session is")
				}
			})
		})
	}
}

// Two edges that name each other do not keep a client waiting.
func TestRecoverEndsInACircle(t *testing.T) {
	t.Parallel()
	runFleet(t, 3, func(f *fleet, edges []*Server) {
		pid := edges[0].Peers.NewID()
		for i, s := range edges[:2] {
			s.recoverables.byPID[pid] = &recoverable{movedTo: edges[1-i].Peers.Token()}
		}
		if edges[2].recoverAt(pid, "ann").Exact {
			t.Error("recovered")
		}
		if len(f.asked) != maxHops {
			t.Errorf("asked %d edges", len(f.asked))
		}
	})
}

// Of many clients with the same private id one recovers the session.
func TestRecoverAtTheSameTime(t *testing.T) {
	t.Parallel()
	runFleet(t, 1, func(_ *fleet, edges []*Server) {
		pid := edges[0].lose("ann")
		var all sync.WaitGroup
		var mu sync.Mutex
		recovered := 0
		for range 50 {
			all.Go(func() {
				if edges[0].recoverAt(pid, "ann").Exact {
					mu.Lock()
					recovered++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if recovered != 1 {
			t.Errorf("recovered %d times", recovered)
		}
	})
}

func TestCanRecover(t *testing.T) {
	t.Parallel()
	for cause, want := range map[conn.Cause]bool{
		{Kind: conn.Lost, Code: conn.CodeAbnormal}:          true,
		{Kind: conn.Ours, Code: code.CloseRestart}:          true,
		{Kind: conn.Ours, Code: code.CloseHeartbeatTimeout}: true,
		{Kind: conn.Ours, Code: code.CloseSlowConsumer}:     true,
		{Kind: conn.Clean, Code: code.CloseNormal}:          false,
		{Kind: conn.Clean, Code: code.CloseRestart}:         false,
		{Kind: conn.Ours, Code: code.CloseInvalidToken}:     false,
		{Kind: conn.Ours, Code: code.CloseProtocolAbuse}:    false,
		{Kind: conn.Ours, Code: code.CloseConnectionLimit}:  false,
	} {
		if got := canRecover(cause); got != want {
			t.Errorf("%+v: %v", cause, got)
		}
	}
}

// Lost sessions are kept for two minutes, moved ones for an hour, and at most maxKept.
func TestKeptSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kept := &recoverables{byPID: make(map[string]*recoverable)}
		set := func(pid string, r *recoverable, keep time.Duration) {
			kept.mu.Lock()
			defer kept.mu.Unlock()
			kept.replaceLocked(pid, r, keep)
		}
		found := func() string {
			var all []string
			for _, pid := range []string{"lost", "moved", "released"} {
				if kept.find(pid) != nil {
					all = append(all, pid)
				}
			}
			return strings.Join(all, " ")
		}
		released := &recoverable{user: "ann"}
		set("lost", &recoverable{}, keepLost)
		set("released", released, keepLost)
		if kept.remove("lost", released, "") || !kept.remove("released", released, "edge") || kept.find("released").movedTo != "edge" {
			t.Error("a session was removed that was not found, or one that was found was not")
		}
		set("moved", &recoverable{movedTo: "edge"}, keepMoved)
		if got := found(); got != "lost moved released" {
			t.Errorf("kept: %s", got)
		}
		<-time.After(keepLost + time.Second)
		set("other", &recoverable{}, keepLost)
		if got := found(); got != "moved released" {
			t.Errorf("after %v: %s", keepLost, got)
		}
		for i := range maxKept {
			set(fmt.Sprint(i), &recoverable{}, keepLost)
		}
		if got := found(); got != "" || len(kept.byPID) != maxKept || len(kept.kept) != maxKept {
			t.Errorf("beyond maxKept: %s, %d of %d", got, len(kept.byPID), len(kept.kept))
		}
	})
}
