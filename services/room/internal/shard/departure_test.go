package shard_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/liveness"
	"github.com/confab-chat/confab/services/room/internal/shard/users/presence"
	"github.com/confab-chat/confab/shared/natstest"
)

// scene is a room with an observer on edge e2, which lives, and ann on edge e1.
type scene struct {
	t     *testing.T
	srv   *natstest.Server
	owner *owner
	e1    *edge

	mu    sync.Mutex      // guards the following
	alive map[string]bool // edges that send heartbeats
	here  bool            // ann is connected, to e1
	told  map[string]int  // events about ann that an edge passes on, by name
	seen  map[int]uint64  // number of the last one, by shard
}

const sceneRoom = "general"

func newScene(t *testing.T) *scene {
	s := &scene{t: t, srv: natstest.Start(t), alive: map[string]bool{"e1": true, "e2": true}, told: map[string]int{}, seen: map[int]uint64{}}
	nc := s.srv.Conn(t)
	provision(t, nc, 1)
	for _, subj := range []string{subject.RoomBroadcast(subject.Shard(sceneRoom), subject.Token(sceneRoom)), subject.UserBroadcastAll} {
		if _, err := nc.Subscribe(subj, s.hear); err != nil {
			t.Fatal(err)
		}
	}
	s.e1 = newEdge(s.srv.Conn(t), "e1")
	s.replaceOwner()
	e2 := newEdge(s.srv.Conn(t), "e2")
	e2.join(t, sceneRoom, "bob")
	fakeSnapshots(t, e2, sceneRoom, func() (string, bool) { return "bob", true })
	fakeSnapshots(t, s.e1, sceneRoom, func() (string, bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.here {
			return "ann", s.alive["e1"]
		}
		return "", s.alive["e1"]
	})
	s.e1.join(t, sceneRoom, "ann")
	s.e1.must(t, subject.OpUserUp, "ann", &wire.UserUp{Origin: s.e1.origin, User: wire.User{ID: "ann"}})
	s.setHere(true)
	s.wait(time.Second)
	if s.told[event.NameUserJoined] != 1 || s.told[event.NameUserOnline] != 1 {
		t.Fatalf("seen %v at first", s.told)
	}
	return s
}

// setHere says whether e1 holds ann.
func (s *scene) setHere(here bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.here = here
}

// setAlive says whether an edge lives.
func (s *scene) setAlive(edge string, lives bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alive[edge] = lives
}

// hear counts an event as an edge does, which ignores what it has seen. Each subscription has a
// goroutine of its own.
func (s *scene) hear(m *nats.Msg) {
	var b wire.Broadcast
	if wire.Unmarshal(m.Data, &b) != nil || b.Except != "ann" || b.Number == 0 {
		return
	}
	shard := subject.Shard("ann")
	if b.Room != "" {
		shard = subject.Shard(b.Room)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.Number <= s.seen[shard] {
		return
	}
	s.seen[shard] = b.Number
	s.told[b.Event]++
}

// replaceOwner kills the owner, if there is one, and starts another.
func (s *scene) replaceOwner() {
	if s.owner != nil {
		s.owner.nc.Close()
		s.owner.release([]int{subject.Shard(sceneRoom), subject.Shard("ann")})
	}
	s.owner = newOwner(s.t, s.srv.Conn(s.t), presence.ScopeAll)
	s.beat()
	s.owner.acquire(s.t, subject.Shard(sceneRoom), subject.Shard("ann"))
}

// wait lets d pass while the living edges send heartbeats.
func (s *scene) wait(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		s.beat()
		time.Sleep(time.Second)
		synctest.Wait()
	}
}

func (s *scene) beat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e, lives := range s.alive {
		if !lives {
			continue
		}
		s.owner.edges.Observe(time.Now(), &wire.Heartbeat{Instance: e, Gen: 1, State: wire.StateOK})
	}
}

// disconnect ends ann's connection.
func (s *scene) disconnect(grace time.Duration) {
	s.t.Helper()
	s.setHere(false)
	ms := uint64(grace.Milliseconds())
	var d wire.Done
	if !s.e1.room(subject.OpLeave, sceneRoom, &wire.Leave{Origin: s.e1.origin, Room: sceneRoom, User: "ann", GraceMs: ms}, &d) {
		s.t.Fatal("leave has no answer")
	}
	s.e1.must(s.t, subject.OpUserDown, "ann", &wire.UserDown{Origin: s.e1.origin, User: "ann", GraceMs: ms})
}

// fakeSnapshots answers for an edge that holds one user, or none, in a room, while it lives.
func fakeSnapshots(tb testing.TB, e *edge, room string, held func() (user string, lives bool)) {
	tb.Helper()
	_, err := e.nc.Subscribe(subject.EdgesSync, func(m *nats.Msg) {
		var q wire.Sync
		if wire.Unmarshal(m.Data, &q) != nil || q.Edge != "" && q.Edge != e.origin.Edge {
			return
		}
		snap := wire.Snapshot{Origin: e.origin, Shard: q.Shard, Part: 1, Last: true}
		user, lives := held()
		if !lives {
			return
		}
		if user != "" && int(q.Shard) == subject.Shard(room) {
			snap.Rooms = []wire.RoomMembers{{Room: room, Users: []wire.User{{ID: user}}}}
		}
		if user != "" && int(q.Shard) == subject.Shard(user) {
			snap.Users = []wire.UserUp{{Origin: e.origin, User: wire.User{ID: user}}}
		}
		_ = m.Respond(wire.Marshal(&snap)) // an owner that is gone needs none
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// Whatever dies, a departure is announced once, and in time.
func TestDeparturesSurvive(t *testing.T) {
	restart := func(s *scene) {
		s.srv.Stop()
		s.srv.Restart(s.t)
	}
	for name, c := range map[string]struct {
		play  func(*scene)
		early time.Duration // after play it is not announced yet, so long after
		late  time.Duration // and it is so long after
	}{
		"nothing":   {func(s *scene) { s.disconnect(2 * time.Second) }, time.Second, 4 * time.Second},
		"the owner": {func(s *scene) { s.disconnect(5 * time.Second); s.replaceOwner() }, time.Second, 6 * time.Second},
		"all owners in turn": {func(s *scene) {
			s.disconnect(30 * time.Second)
			for range 4 {
				s.replaceOwner() // takes up to 3 s
				s.wait(2 * time.Second)
			}
		}, 8 * time.Second, 24 * time.Second},
		"the edge": {func(s *scene) { s.setAlive("e1", false) }, liveness.Silence + liveness.DeadGrace - 2*time.Second, liveness.Silence + liveness.DeadGrace + 2*time.Second},
		"the edge and the owner": {func(s *scene) {
			s.setAlive("e1", false)
			s.replaceOwner()
		}, liveness.Silence + liveness.DeadGrace - 2*time.Second, liveness.Silence + liveness.DeadGrace + 2*time.Second},
		"the edge, and the owner in its grace": {func(s *scene) {
			s.setAlive("e1", false)
			s.wait(10 * time.Second)
			s.replaceOwner()
		}, liveness.Silence + liveness.DeadGrace - 12*time.Second, liveness.Silence + liveness.DeadGrace - 8*time.Second},
		"NATS": {func(s *scene) { s.disconnect(5 * time.Second); restart(s) }, 2 * time.Second, 10 * time.Second},
		"NATS and the owner": {func(s *scene) {
			s.disconnect(5 * time.Second)
			restart(s)
			s.replaceOwner() // takes up to 3 s
		}, time.Second, 10 * time.Second},
		"the edge, which forgets to report it": {func(s *scene) {
			s.setHere(false)
			s.replaceOwner()
		}, time.Second, liveness.LeftGrace + 3*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			natstest.VirtualTime(t, func(t *testing.T) {
				s := newScene(t)
				c.play(s)
				s.wait(c.early)
				if n := s.told[event.NameUserLeft] + s.told[event.NameUserOffline]; n > 0 {
					t.Errorf("announced too early: %v", s.told)
				}
				s.wait(c.late - c.early)
				if s.told[event.NameUserLeft] != 1 || s.told[event.NameUserOffline] != 1 {
					t.Errorf("wrong-departures: seen %v", s.told)
				}
				s.replaceOwner()
				s.wait(time.Minute)
				if s.told[event.NameUserJoined] != 1 || s.told[event.NameUserOnline] != 1 || s.told[event.NameUserLeft] != 1 || s.told[event.NameUserOffline] != 1 {
					t.Errorf("wrong-departures: seen %v in the end", s.told)
				}
				var j wire.Joined
				if j = *s.e1.join(t, sceneRoom, "cid"); j.Total != 2 {
					t.Errorf("%d members: %v", j.Total, j.Users)
				}
			})
		})
	}
}

// An edge that does not answer a new owner, or differs from it later, is asked again.
func TestSilentEdgeIsAskedAgain(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		s := newScene(t)
		s.setHere(false)
		s.setAlive("e1", false) // it loses ann, and sends no snapshots for now
		s.replaceOwner()
		s.wait(2 * time.Second)
		s.setHere(true)
		s.setAlive("e1", true)
		s.wait(4 * time.Second)
		if n := s.members(); n != 2 {
			t.Errorf("member-missing: seen %d members, want 2", n)
		}
		// What the edge holds and no command has said is found by its checks.
		e3 := newEdge(s.srv.Conn(t), "e3")
		s.setAlive("e3", true)
		held := ""
		fakeSnapshots(t, e3, sceneRoom, func() (string, bool) { return held, true })
		s.wait(3 * time.Second)
		held = "cid"
		check := wire.Check{Origin: e3.origin}
		check.Members.Add(wire.MemberSum(sceneRoom, held))
		for range 2 {
			var d wire.Done
			if !e3.room(subject.OpCheck, sceneRoom, &check, &d) || d.Code != "" {
				t.Fatalf("check: %+v", d)
			}
			s.wait(2 * time.Second)
		}
		if n := s.members(); n != 3 {
			t.Errorf("member-missing: seen %d members, want 3", n)
		}
		if s.told[event.NameUserLeft] > 0 {
			t.Errorf("wrong-departures: seen %v", s.told)
		}
	})
}

// members returns how many members the room has.
func (s *scene) members() int {
	var stats struct{ UserCount int }
	s.e1.event(s.t, wire.User{ID: "bob"}, event.NameGetRoomStats, `{"roomId":"`+sceneRoom+`"}`, &stats)
	return stats.UserCount
}

// A user who returns within the grace is not announced, also if the owner dies meanwhile.
func TestReturnSurvives(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		s := newScene(t)
		s.disconnect(10 * time.Second)
		s.replaceOwner()
		s.wait(5 * time.Second)
		s.e1.join(t, sceneRoom, "ann")
		s.e1.must(t, subject.OpUserUp, "ann", &wire.UserUp{Origin: s.e1.origin, User: wire.User{ID: "ann"}})
		s.setHere(true)
		s.wait(time.Minute)
		if s.told[event.NameUserLeft] > 0 || s.told[event.NameUserJoined] != 1 {
			t.Errorf("wrong-departures: seen %v", s.told)
		}
	})
}

// An owner that is cut off announces nothing when it returns: another one has done it.
func TestOwnerThatReturns(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		s := newScene(t)
		gate := s.srv.Gate(t)
		old := s.owner
		s.owner = nil // it lives on
		s.owner = newOwner(t, gate.Conn(t, nats.ReconnectBufSize(-1)), presence.ScopeAll)
		s.beat()
		old.nc.Close()
		s.owner.acquire(t, subject.Shard(sceneRoom), subject.Shard("ann"))
		cut := s.owner
		s.disconnect(2 * time.Second)
		gate.Cut()
		s.owner = newOwner(t, s.srv.Conn(t), presence.ScopeAll)
		s.beat()
		s.owner.acquire(t, subject.Shard(sceneRoom), subject.Shard("ann"))
		s.wait(10 * time.Second)
		gate.Open()
		s.wait(10 * time.Second)
		if s.told[event.NameUserLeft] != 1 || s.told[event.NameUserOffline] != 1 {
			t.Errorf("wrong-departures: seen %v", s.told)
		}
		cut.release([]int{subject.Shard(sceneRoom), subject.Shard("ann")})
	})
}

// A join that the edge has given up is not shown.
func TestUndoneJoin(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		s := newScene(t)
		nc := s.srv.Conn(t)
		s.told = map[string]int{}
		shard := subject.Shard(sceneRoom)
		s.disconnect(0)
		s.wait(time.Second)
		for range 3 { // as it arrives after an outage: at once
			for _, c := range []struct {
				op subject.RoomOp
				m  wire.Message
			}{
				{subject.OpJoin, &wire.Join{Origin: s.e1.origin, Room: sceneRoom, User: wire.User{ID: "ann"}}},
				{subject.OpLeave, &wire.Leave{Origin: s.e1.origin, Room: sceneRoom, User: "ann", Undo: true}},
			} {
				if err := nc.PublishRequest(subject.RoomCommand(shard, c.op), nc.NewInbox(), wire.Marshal(c.m)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		s.wait(5 * time.Second)
		if s.told[event.NameUserJoined] > 0 || s.told[event.NameUserLeft] != 1 {
			t.Errorf("wrong-departures: seen %v", s.told)
		}
	})
}
