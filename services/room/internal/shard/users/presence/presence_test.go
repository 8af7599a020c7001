package presence_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/users/presence"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(s int) time.Time { return epoch.Add(time.Duration(s) * time.Second) }

func user(id string) wire.User { return wire.User{ID: id, Name: "name of " + id} }

var (
	edgeA  = presence.Edge{ID: "A", Gen: 1}
	edgeA2 = presence.Edge{ID: "A", Gen: 2}
	edgeB  = presence.Edge{ID: "B", Gen: 1}
)

// text is events in short: "+u r1 r2 (r0)" online, "-u r1" offline, "u=away/custom r1".
func text(events []presence.Event) string {
	var all []string
	for _, ev := range events {
		var s string
		switch ev.Kind {
		case presence.Online:
			s = "+" + ev.User.ID
		case presence.Offline:
			s = "-" + ev.User.ID
			if ev.Status != presence.StatusOffline || ev.Custom != "" {
				s += "=" + ev.Status + "/" + ev.Custom
			}
		case presence.Update:
			s = ev.User.ID + "=" + ev.Status + "/" + ev.Custom
		}
		s = strings.Join(append([]string{s}, ev.Rooms...), " ")
		if ev.Known != nil {
			s += " (" + strings.Join(ev.Known, " ") + ")"
		}
		all = append(all, s)
	}
	return strings.Join(all, "; ")
}

// step is one call; it returns what must be announced.
type step func(*presence.Set) string

func up(s int, e presence.Edge, u string, rooms ...string) step {
	return func(p *presence.Set) string { return text(p.Up(at(s), e, user(u), rooms)) }
}

func down(s int, e presence.Edge, u string, grace int) step {
	return func(p *presence.Set) string {
		return text(p.Down(at(s), e, u, time.Duration(grace)*time.Second))
	}
}

func lose(s int, e presence.Edge, grace int) step {
	return func(p *presence.Set) string { return text(p.LoseEdge(at(s), e, time.Duration(grace)*time.Second)) }
}

func expire(s int) step {
	return func(p *presence.Set) string { return text(p.Expire(at(s))) }
}

func status(s int, u, status, custom string) step {
	return func(p *presence.Set) string {
		events, err := p.SetStatus(at(s), user(u), status, custom)
		if err != nil {
			return err.Error()
		}
		return text(events)
	}
}

func restore(s int, e presence.Edge, u string, rooms ...string) step {
	return func(p *presence.Set) string {
		p.UpSilently(at(s), e, user(u), rooms)
		return ""
	}
}

// get returns "status/custom", and "on" or the seconds of the last sight; "?" for never.
func get(s int, u string) step {
	return func(p *presence.Set) string {
		x := p.Get(at(s), []string{u})[0]
		text := x.Status + "/" + x.Custom
		switch {
		case x.Online && x.LastSeenMs == uint64(at(s).UnixMilli()):
			return text + " on"
		case x.LastSeenMs == 0 && x.User == (wire.User{ID: u}):
			return text + " ?"
		case !x.Online && x.User == user(u):
			return fmt.Sprint(text, " ", (int64(x.LastSeenMs)-epoch.UnixMilli())/1000)
		}
		return fmt.Sprintf("%+v", x)
	}
}

type test struct {
	name  string
	steps []step
	want  []string
	left  int // online
}

func run(t *testing.T, scope presence.Scope, tests []test) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := presence.New(scope)
			for i, do := range tt.steps {
				if got := do(s); got != tt.want[i] {
					t.Fatalf("step %d: %q, want %q", i, got, tt.want[i])
				}
			}
			if got := s.OnlineCount(); got != tt.left || len(s.Online(at(0), 99)) != tt.left {
				t.Fatalf("%d online, want %d", got, tt.left)
			}
		})
	}
}

func TestScopeAll(t *testing.T) {
	t.Parallel()
	run(t, presence.ScopeAll, []test{
		{"up and down", []step{up(0, edgeA, "u"), up(0, edgeA, "u", "ignored"), down(1, edgeA, "u", 0), down(1, edgeA, "u", 0)}, []string{"+u", "", "-u", ""}, 0},
		{"two edges", []step{up(0, edgeA, "u"), up(0, edgeB, "u"), down(1, edgeA, "u", 0), down(2, edgeB, "u", 0)}, []string{"+u", "", "", "-u"}, 0},
		{"unknown", []step{down(0, edgeA, "u", 0), up(0, edgeA, "u"), down(0, edgeB, "u", 0), lose(0, edgeB, 0)}, []string{"", "+u", "", ""}, 1},
		{"grace", []step{up(0, edgeA, "u"), down(1, edgeA, "u", 2), expire(2), expire(3), expire(9)}, []string{"+u", "", "", "-u", ""}, 0},
		{"back in the grace", []step{up(0, edgeA, "u"), down(1, edgeA, "u", 2), up(2, edgeB, "u"), expire(9), down(9, edgeB, "u", 0)}, []string{"+u", "", "", "", "-u"}, 0},
		{"back too late", []step{up(0, edgeA, "u"), down(1, edgeA, "u", 2), expire(3), up(4, edgeA, "u")}, []string{"+u", "", "-u", "+u"}, 1},
		{"a second down shortens, never prolongs", []step{up(0, edgeA, "u"), down(1, edgeA, "u", 30), down(2, edgeA, "u", 2), down(3, edgeA, "u", 30), expire(4)}, []string{"+u", "", "", "", "-u"}, 0},
		{"a second down shortens to now", []step{up(0, edgeA, "u"), down(1, edgeA, "u", 30), down(2, edgeA, "u", 0), expire(99)}, []string{"+u", "", "-u", ""}, 0},
		{"the last grace counts", []step{up(0, edgeA, "u"), up(0, edgeB, "u"), down(1, edgeA, "u", 10), down(2, edgeB, "u", 0), expire(10), expire(11)}, []string{"+u", "", "", "", "", "-u"}, 0},
		{"a dead edge", []step{up(0, edgeA, "u"), up(0, edgeA, "v"), up(0, edgeB, "v"), lose(1, edgeA, 10), expire(10), expire(11), down(12, edgeB, "v", 0)}, []string{"+u", "+v", "", "", "", "-u", "-v"}, 0},
		{"a dead edge, at once", []step{up(0, edgeA, "u"), up(0, edgeB, "v"), up(0, edgeA, "w"), lose(1, edgeA, 0), lose(1, edgeA, 0)}, []string{"+u", "+v", "+w", "-w; -u", ""}, 1},
		{"losing a process loses older ones, not newer", []step{up(0, edgeA, "u"), up(0, edgeA2, "v"), lose(1, edgeA, 0), up(2, edgeA, "w"), lose(3, edgeA2, 0)}, []string{"+u", "+v", "-u", "+w", "-w; -v"}, 0},
		{"a newer process takes over", []step{up(0, edgeA, "u"), up(1, edgeA2, "u"), down(2, edgeA2, "u", 0)}, []string{"+u", "", "-u"}, 0},
		{"an older process is not believed", []step{up(0, edgeA2, "u"), up(1, edgeA, "u"), down(2, edgeA2, "u", 0)}, []string{"+u", "", "-u"}, 0},
		{"restored users are known", []step{restore(0, edgeA, "u"), up(1, edgeB, "u"), down(2, edgeA, "u", 0), down(2, edgeB, "u", 0)}, []string{"", "", "", "-u"}, 0},
		{"status", []step{status(0, "u", "away", ""), up(0, edgeA, "u"), get(0, "u"), status(1, "u", "away", "tea"), status(1, "u", "away", "tea"), status(2, "u", "offline", ""), status(2, "u", "AWAY", ""), get(3, "u")},
			[]string{presence.ErrOffline.Error(), "+u", "online/ on", "u=away/tea", "u=away/tea", presence.ErrStatus.Error(), presence.ErrStatus.Error(), "away/tea on"}, 1},
		{"status outlives a grace, not an online period", []step{up(0, edgeA, "u"), status(1, "u", "busy", "x"), down(2, edgeA, "u", 2), get(3, "u"), up(3, edgeA, "u"), get(4, "u"), down(5, edgeA, "u", 2), expire(7), get(8, "u"), up(9, edgeA, "u"), get(9, "u")},
			[]string{"+u", "u=busy/x", "", "busy/x on", "", "busy/x on", "", "-u", "offline/ 5", "+u", "online/ on"}, 1},
		{"last seen is when the last connection closed", []step{up(0, edgeA, "u"), up(0, edgeB, "u"), down(1, edgeA, "u", 30), down(2, edgeB, "u", 2), down(3, edgeA, "u", 2), expire(99), get(99, "u"), get(99, "v")},
			[]string{"+u", "", "", "", "", "-u", "offline/ 2", "offline/ ?"}, 0},
		{"offline users are forgotten after a day", []step{up(0, edgeA, "u"), down(1, edgeA, "u", 0), get(86400, "u"), get(86401, "u"), expire(86401), get(0, "u")},
			[]string{"+u", "-u", "offline/ 1", "offline/ ?", "", "offline/ ?"}, 0},
		{"a day counts from the last departure", []step{up(0, edgeA, "u"), down(1, edgeA, "u", 0), up(2, edgeA, "u"), down(7200, edgeA, "u", 0), expire(86401), get(86402, "u")},
			[]string{"+u", "-u", "+u", "-u", "", "offline/ 7200"}, 0},
		{"wild graces", []step{up(0, edgeA, "u"), up(0, edgeA, "v"), down(1, edgeA, "u", -1), down(1, edgeA, "v", 1<<33), expire(3601)}, []string{"+u", "+v", "-u", "", "-v"}, 0},
	})
}

func TestScopeRooms(t *testing.T) {
	t.Parallel()
	run(t, presence.ScopeRooms, []test{
		{"nobody hears of who is in no room", []step{up(0, edgeA, "u"), down(1, edgeA, "u", 0), up(2, edgeA, "u"), down(3, edgeA, "u", 2), expire(5)}, []string{"", "", "", "", ""}, 0},
		{"the first join tells, later ones exclude", []step{up(0, edgeA, "u"), up(1, edgeA, "u", "r1"), up(2, edgeA, "u", "r1", "r1"), up(3, edgeA, "u", "r3", "r1", "r2"), down(4, edgeA, "u", 0)},
			[]string{"", "+u r1", "", "+u r2 r3 (r1)", "-u r1 r2 r3"}, 0},
		{"rooms of another edge are known", []step{up(0, edgeA, "u", "r1"), up(1, edgeB, "u", "r1", "r2"), down(2, edgeA, "u", 0), down(3, edgeB, "u", 0)}, []string{"+u r1", "+u r2 (r1)", "", "-u r1 r2"}, 0},
		{"joining again is no news", []step{up(0, edgeA, "u", "r1"), up(1, edgeA, "u"), up(2, edgeA, "u", "r1"), up(3, edgeA, "u", "r2", "r1")}, []string{"+u r1", "", "", "+u r2 (r1)"}, 1},
		{"rooms left before are not told the departure", []step{up(0, edgeA, "u", "r1", "r2"), up(1, edgeA, "u", "r2"), down(2, edgeA, "u", 0)}, []string{"+u r1 r2", "", "-u r2"}, 0},
		{"rooms held at the last close, not on edges gone before", []step{up(0, edgeA, "u", "r1"), up(0, edgeB, "u", "r2"), down(1, edgeA, "u", 2), down(5, edgeB, "u", 2), expire(7)},
			[]string{"+u r1", "+u r2 (r1)", "", "", "-u r2"}, 0},
		{"rooms of every edge in a grace at the last close", []step{up(0, edgeA, "u", "r1"), up(0, edgeB, "u", "r2"), down(1, edgeA, "u", 10), down(2, edgeB, "u", 2), expire(10), expire(11)},
			[]string{"+u r1", "+u r2 (r1)", "", "", "", "-u r1 r2"}, 0},
		{"shortening forgets no room", []step{up(0, edgeA, "u", "r1"), up(0, edgeB, "u", "r2"), down(1, edgeA, "u", 10), down(2, edgeB, "u", 2), down(5, edgeA, "u", 0)},
			[]string{"+u r1", "+u r2 (r1)", "", "", "-u r1 r2"}, 0},
		{"back and gone before the rooms were joined again", []step{up(0, edgeA, "u", "r1"), down(1, edgeA, "u", 10), up(2, edgeA, "u"), down(3, edgeA, "u", 0)}, []string{"+u r1", "", "", "-u r1"}, 0},
		{"back for good, rooms not joined again", []step{up(0, edgeA, "u", "r1"), down(1, edgeA, "u", 10), up(2, edgeB, "u", "r2"), down(12, edgeB, "u", 0)}, []string{"+u r1", "", "+u r2 (r1)", "-u r2"}, 0},
		{"a new period is news again", []step{up(0, edgeA, "u", "r1"), down(1, edgeA, "u", 0), up(2, edgeA, "u", "r1")}, []string{"+u r1", "-u r1", "+u r1"}, 1},
		{"back in the grace is no news", []step{up(0, edgeA, "u", "r1"), down(1, edgeA, "u", 2), up(2, edgeB, "u"), up(2, edgeB, "u", "r1"), expire(9)}, []string{"+u r1", "", "", "", ""}, 1},
		{"updates go to every room held", []step{up(0, edgeA, "u", "r1"), up(0, edgeB, "u", "r2"), status(1, "u", "away", ""), down(2, edgeA, "u", 0), up(3, edgeB, "u", "r2"), status(3, "u", "busy", "")},
			[]string{"+u r1", "+u r2 (r1)", "u=away/ r1 r2", "", "", "u=busy/ r2"}, 1},
		{"an update without a room is for the user alone", []step{up(0, edgeA, "u"), status(1, "u", "away", "")}, []string{"", "u=away/"}, 1},
		{"restored rooms have heard", []step{restore(0, edgeA, "u", "r1"), up(1, edgeA, "u", "r1", "r2"), down(2, edgeA, "u", 0)}, []string{"", "+u r2 (r1)", "-u r1 r2"}, 0},
		{"a newer process takes over", []step{up(0, edgeA, "u", "r1"), up(1, edgeA2, "u", "r2"), status(2, "u", "away", ""), status(12, "u", "busy", ""), down(13, edgeA2, "u", 0)},
			[]string{"+u r1", "+u r2 (r1)", "u=away/ r1 r2", "u=busy/ r2", "-u r2"}, 0},
	})
}

func TestErrorsAreSentinels(t *testing.T) {
	t.Parallel()
	s := presence.New(presence.ScopeAll)
	if _, err := s.SetStatus(at(0), user("u"), "away", ""); !errors.Is(err, presence.ErrOffline) {
		t.Error(err)
	}
	if _, err := s.SetStatus(at(0), user("u"), "gone", ""); !errors.Is(err, presence.ErrStatus) {
		t.Error(err)
	}
}

func TestToldRoomsAreBounded(t *testing.T) {
	t.Parallel()
	s := presence.New(presence.ScopeRooms)
	for i := range 10_000 {
		for _, ev := range s.Up(at(i), edgeA, user("u"), []string{"stays", fmt.Sprint("room", i)}) {
			if len(ev.Known) > 300 {
				t.Fatalf("%d known rooms after %d", len(ev.Known), i)
			}
			if i > 0 && len(ev.Rooms) != 1 {
				t.Fatalf("told %v again", ev.Rooms)
			}
		}
	}
}

func TestOfflineUsersAreBounded(t *testing.T) {
	t.Parallel()
	s := presence.New(presence.ScopeAll)
	id := func(i int) string { return fmt.Sprint("user", i) }
	for i := range presence.MaxPast + 10 {
		s.Up(at(0), edgeA, user(id(i)), nil)
		s.Down(at(0), edgeA, id(i), 0)
	}
	s.Up(at(1), edgeA, user(id(10)), nil) // the longest gone is back, and gone again
	s.Down(at(1), edgeA, id(10), 0)
	s.Up(at(2), edgeA, user("new"), nil)
	s.Down(at(2), edgeA, "new", 0)
	for i, seen := range map[int]bool{0: false, 9: false, 10: true, 11: false, 12: true, presence.MaxPast + 9: true} {
		if got := s.Get(at(3), []string{id(i)})[0].LastSeenMs > 0; got != seen {
			t.Errorf("user %d is remembered: %v", i, got)
		}
	}
}

func TestOnlineIsLimited(t *testing.T) {
	t.Parallel()
	s := presence.New(presence.ScopeAll)
	for i := range 10 {
		s.Up(at(0), edgeA, user(fmt.Sprint(i)), nil)
	}
	for limit, want := range map[int]int{-1: 0, 0: 0, 3: 3, 10: 10, 99: 10} {
		if got := s.Online(at(1), limit); len(got) != want {
			t.Errorf("Online(%d) gives %d", limit, len(got))
		}
	}
	one := s.Online(at(1), 1)[0]
	if one.User.Name == "" || !one.Online || one.Status != "online" || one.LastSeenMs != uint64(at(1).UnixMilli()) {
		t.Errorf("%+v", one)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkMemory reports what a user costs beyond the strings.
func BenchmarkMemory(b *testing.B) {
	users := make([]wire.User, 50_000)
	for i := range users {
		users[i] = user(fmt.Sprintf("user-%06d", i))
	}
	rooms := []string{"general", "random", "support"}
	for _, state := range []string{"online in 3 rooms", "offline"} {
		b.Run(state, func(b *testing.B) {
			var s *presence.Set
			before := heap()
			for b.Loop() {
				s = presence.New(presence.ScopeRooms)
				for _, u := range users {
					s.Up(epoch, edgeA, u, rooms)
				}
				if state == "offline" {
					s.LoseEdge(epoch, edgeA, 0)
				}
			}
			b.ReportMetric(float64(heap()-before)/float64(len(users)), "B/user")
			runtime.KeepAlive(s)
		})
	}
}

func BenchmarkUpDown(b *testing.B) {
	for _, bench := range []struct {
		name  string
		scope presence.Scope
		rooms []string
	}{
		{"all", presence.ScopeAll, nil},
		{"3 rooms", presence.ScopeRooms, []string{"general", "random", "support"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := presence.New(bench.scope)
			users := make([]wire.User, 10_000)
			for i := range users {
				users[i] = user(fmt.Sprintf("user-%06d", i))
				s.Up(epoch, edgeB, users[i], bench.rooms)
			}
			b.ReportAllocs()
			for b.Loop() {
				u := users[rand.IntN(len(users))]
				if s.Up(epoch, edgeA, u, bench.rooms) != nil || s.Down(epoch, edgeA, u.ID, time.Second) != nil {
					b.Fatal("told")
				}
			}
		})
	}
}
