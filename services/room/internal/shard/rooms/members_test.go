package rooms_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/liveness"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
)

func TestDepartures(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.join("e1", "r", "ann")
	s.join("e1", "r", "bob")
	s.join("e2", "r", "bob")
	s.hears("userJoined ann", "userJoined bob")

	s.leave("e1", "r", "bob", 0)
	s.hears() // e2 still holds bob
	s.leave("e2", "r", "bob", 2*time.Second)
	s.pass(1*time.Second, "e1", "e2")
	s.join("e1", "r", "bob")
	s.pass(5*time.Second, "e1", "e2")
	s.hears() // bob came back in time

	s.leave("e1", "r", "bob", 2*time.Second)
	s.pass(3*time.Second, "e1", "e2")
	s.hears("userLeft bob")
	s.leave("e1", "r", "bob", 0)
	s.leave("e1", "nowhere", "bob", 0)
	s.hears()
	s.leave("e1", "r", "ann", 0)
	s.hears("userLeft ann")
	if rep := s.Report(10); rep.Rooms != 0 || len(rep.Details) != 0 {
		t.Errorf("report: %+v", rep)
	}
}

func TestEventsNameTheUserAndCount(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.join("e1", "r", "ann")
	s.join("e1", "r", "bob")
	b := s.casts[1]
	want := fmt.Sprintf(`{"userId":"bob","username":"N bob","roomId":"r","timestamp":%q}`, "2027-01-15T08:00:00.000Z")
	if string(b.Data) != want || b.Except != "bob" || b.Total != 2 || b.Epoch != 1 || b.Class != wire.ClassPresence {
		t.Errorf("userJoined: %+v\n%s\nwant %s", b, b.Data, want)
	}
	s.leave("e1", "r", "bob", 0)
	if b := s.casts[2]; b.Event != event.NameUserLeft || b.Total != 1 {
		t.Errorf("userLeft: %+v", b)
	}
}

// An edge that dies is noticed after 5 s and its users are gone 10 s later, once.
func TestDeadEdge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		event func(s *scene) // what happens to e1
		after time.Duration  // its users are there until about then
	}{
		"silent":   {func(*scene) {}, liveness.Silence + liveness.DeadGrace},
		"stopped":  {func(s *scene) { s.beat("e1", 1, wire.StateStopped) }, liveness.DrainGrace},
		"replaced": {func(s *scene) { s.beat("e1", 2, wire.StateOK) }, liveness.DeadGrace},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.beat("e1", 1, wire.StateOK)
			s.beat("e2", 1, wire.StateOK)
			s.join("e1", "r", "ann")
			s.join("e1", "r", "bob")
			s.join("e2", "r", "bob")
			s.join("e1", "r2", "ann")
			s.heard()
			c.event(s)
			s.pass(c.after-time.Second, "e2")
			s.hears()
			s.pass(3*time.Second, "e2")
			got := s.heard()
			slices.Sort(got)
			if want := []string{"userLeft ann", "userLeft ann"}; !slices.Equal(got, want) {
				t.Errorf("broadcast %q, want %q", got, want)
			}
			if rep := s.Report(0); rep.Rooms != 1 {
				t.Errorf("%d rooms are left", rep.Rooms)
			}
		})
	}
}

// When an edge that was given up lives after all, those who were announced as gone are
// announced as back.
func TestEdgeComesBack(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.beat("e1", 1, wire.StateOK)
	s.join("e1", "r", "ann")
	s.pass(20 * time.Second)
	s.hears("userJoined ann", "userLeft ann")
	s.beat("e1", 1, wire.StateOK)
	e := membership.Edge{ID: "e1", Gen: 1}
	s.Replace(e, []wire.RoomMembers{{Room: "r", Users: []wire.User{person("ann")}}}, true)
	s.world.RunReplies()
	s.hears("userJoined ann")
}

// Members reported by an edge that is dead already, or that is unknown, do not stay
// forever.
func TestUnknownEdge(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.join("ghost", "r", "ann")
	s.heard()
	s.pass(liveness.Silence + liveness.DeadGrace + 2*time.Second)
	s.hears("userLeft ann")
}

// A new owner takes the edges' snapshots in silence; then departures count as ever.
func TestTakeover(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.beat("e1", 1, wire.StateOK)
	s.join("e1", "r", "ann")
	s.send("r", "ann", "c1")
	s.heard()
	s.takeOver(2)
	e := membership.Edge{ID: "e1", Gen: 1}
	rooms := []wire.RoomMembers{{Room: "r", Users: []wire.User{person("ann"), person("bob")}}, {Room: "r2", Users: []wire.User{person("cy")}}}
	s.Replace(e, rooms, false)
	s.Replace(e, rooms, false)
	s.world.RunReplies()
	s.hears()
	if j := s.join("e1", "r", "ann"); j.Total != 2 || j.Head != 1 || j.Epoch != 2 {
		t.Errorf("joined: %+v", j)
	}
	s.hears()
	if rep := s.Report(0); rep.Rooms != 2 {
		t.Errorf("report: %+v", rep)
	}
	if n := s.count.RoomsCreated.Load(); n != 1 {
		t.Errorf("%d rooms were made, want 1", n)
	}
	s.leave("e1", "r", "bob", 0)
	s.hears("userLeft bob")
	// The old owner may have died before it broadcast its last message.
	s.pass(time.Second, "e1")
	if len(s.digests) == 0 || len(s.digests[0].Heads) != 1 || s.digests[0].Heads[0] != (wire.Head{Room: "r", Seq: 1}) {
		t.Errorf("digests: %+v", s.digests)
	}
}

// Above 200 members a room announces counts, at most once a second.
func TestCrowd(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.beat("e1", 1, wire.StateOK)
	for i := range 200 {
		s.join("e1", "r", fmt.Sprintf("u%03d", i))
	}
	if n := len(s.heard()); n != 200 {
		t.Fatalf("%d events for 200 joins", n)
	}
	for i := range 50 {
		j := s.join("e1", "r", fmt.Sprintf("v%03d", i))
		if len(j.Users) != 200 || j.Total != uint64(201+i) {
			t.Fatalf("joined: %d users, total %d", len(j.Users), j.Total)
		}
		s.pass(100*time.Millisecond, "e1")
		s.Typing(&wire.Typing{Room: "r", User: person("u001"), On: i%2 == 0})
	}
	// 50 joins in 12.5 s (a tick each): at most one list a second, and the last one.
	got := s.heard()
	if n := len(got); n < 8 || n > 14 || slices.ContainsFunc(got, func(e string) bool { return e != event.NameRoomUsers }) {
		t.Errorf("%d events: %q", n, got)
	}
	s.pass(3*time.Second, "e1")
	if len(s.casts) > 0 {
		last := s.casts[len(s.casts)-1]
		if last.Total != 250 {
			t.Errorf("the last list says %d", last.Total)
		}
	}
	s.heard()
	for i := range 50 {
		s.leave("e1", "r", fmt.Sprintf("v%03d", i), 0)
	}
	s.pass(2*time.Second, "e1")
	s.hears("userLeft v049", event.NameRoomUsers)
}

// A list of a crowd's users is sent to an edge that does not have it, and to others not.
func TestListOfACrowd(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.beat("e1", 1, wire.StateOK)
	ask := func(user string, list uint64) *wire.Joined {
		t.Helper()
		s.Join(&wire.Join{Origin: origin("e1"), Room: "r", User: person(user), List: list}, "r")
		var j wire.Joined
		s.reply(&j)
		return &j
	}
	for i := range 200 {
		if j := ask(fmt.Sprintf("k%03d", i), 0); j.List != 0 || len(j.Users) != i+1 {
			t.Fatalf("%d members: list %d of %d users", i+1, j.List, len(j.Users))
		}
	}
	first := ask("z1", 0)
	if first.List == 0 || len(first.Users) != 200 {
		t.Fatalf("a crowd: list %d of %d users", first.List, len(first.Users))
	}
	if j := ask("z2", first.List); j.List != first.List || len(j.Users) != 0 || j.Total != 202 {
		t.Errorf("the edge has the list: it gets %d, of %d users", j.List, len(j.Users))
	}
	if j := ask("z3", first.List+1); len(j.Users) != 200 {
		t.Errorf("the edge has another list: it gets %d users", len(j.Users))
	}
	second := ask("a1", first.List) // is among the first
	if second.List == first.List || len(second.Users) != 200 || second.Users[0].ID != "a1" {
		t.Errorf("other users: list %d, was %d, of %d users", second.List, first.List, len(second.Users))
	}
	s.leave("e1", "r", "a1", 0)
	if third := ask("z4", second.List); third.List == second.List || len(third.Users) != 200 || third.Users[0].ID != "k000" {
		t.Errorf("one has left: list %d, was %d, of %d users", third.List, second.List, len(third.Users))
	}
	s.takeOver(2)
	for i := range 201 {
		if j := ask(fmt.Sprintf("k%03d", i), second.List); j.List == second.List || len(j.Users) == 0 {
			t.Fatalf("another owner takes the list for its own")
		}
	}
}

// The larger a room, the less often its counts are announced.
func TestBigCrowdsRest(t *testing.T) {
	t.Parallel()
	for members, most := range map[int]int{1000: 13, 30_000: 5, 200_000: 2} {
		s := newScene(t)
		s.beat("e1", 1, wire.StateOK)
		all := make([]wire.User, members)
		for i := range all {
			all[i] = person(fmt.Sprint("u", i))
		}
		s.Replace(membership.Edge{ID: "e1", Gen: 1}, []wire.RoomMembers{{Room: "r", Users: all}}, false)
		s.heard()
		for i := range 48 {
			s.join("e1", "r", fmt.Sprint("v", i))
			s.pass(rooms.TickEvery, "e1") // 12 s in all
		}
		if n := len(s.heard()); n == 0 || n > most {
			t.Errorf("%d members: told %d times while it grew, want %d at most", members, n, most)
		}
		s.pass(12*time.Second, "e1")
		if len(s.casts) != 1 || s.casts[0].Total != uint64(members+48) {
			t.Errorf("%d members: told %d times after that", members, len(s.casts))
		}
	}
}

// Who joins a cold room and leaves at once has left.
func TestLeaveBehindWaitingJoin(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.Join(&wire.Join{Origin: origin("e1"), Room: "r", User: person("ann")}, "join")
	s.Leave(&wire.Leave{Origin: origin("e1"), Room: "r", User: "ann"}, "leave")
	s.world.RunReplies()
	if s.replies["join"] == nil || s.replies["leave"] == nil {
		t.Fatal("not answered")
	}
	if st := s.stats("r"); st.UserCount != 0 {
		t.Errorf("%d members are left", st.UserCount)
	}
	s.hears("userJoined ann", "userLeft ann")
}
