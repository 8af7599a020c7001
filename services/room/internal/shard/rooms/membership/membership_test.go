package membership_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(s int) time.Time { return epoch.Add(time.Duration(s) * time.Second) }

func user(id string) wire.User { return wire.User{ID: id, Name: "name of " + id} }

func ids(users []wire.User) string {
	var s string
	for _, u := range users {
		s += u.ID
	}
	return s
}

var (
	edgeA  = membership.Edge{ID: "A", Gen: 1}
	edgeA2 = membership.Edge{ID: "A", Gen: 2}
	edgeB  = membership.Edge{ID: "B", Gen: 1}
)

// step is one call; its word is what it announces: "+u" joined, "-u" left.
type step func(r *membership.Room) string

func join(s int, e membership.Edge, u string) step {
	return func(r *membership.Room) string {
		if r.Join(at(s), e, user(u)) {
			return "+" + u
		}
		return ""
	}
}

func leave(s int, e membership.Edge, u string, grace int) step {
	return func(r *membership.Room) string {
		if r.Leave(at(s), e, u, time.Duration(grace)*time.Second) {
			return "-" + u
		}
		return ""
	}
}

func lose(s int, e membership.Edge, grace int) step {
	return func(r *membership.Room) string { return gone(r.LoseEdge(at(s), e, time.Duration(grace)*time.Second)) }
}

func expire(s int) step {
	return func(r *membership.Room) string { return gone(r.Expire(at(s))) }
}

func restore(e membership.Edge, users ...string) step {
	return func(r *membership.Room) string {
		for _, u := range users {
			r.Restore(epoch, user(u), membership.State{Edge: e})
		}
		return ""
	}
}

func gone(users []wire.User) (s string) {
	for _, u := range users {
		s += "-" + u.ID
	}
	return s
}

func TestRoom(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		steps []step
		want  []string // what each step announces
		left  string   // members at the end
	}{
		{"join and leave", []step{join(0, edgeA, "u"), leave(1, edgeA, "u", 0)}, []string{"+u", "-u"}, ""},
		{"everything twice", []step{join(0, edgeA, "u"), join(0, edgeA, "u"), leave(1, edgeA, "u", 0), leave(1, edgeA, "u", 0)},
			[]string{"+u", "", "-u", ""}, ""},
		{"unknown users and edges", []step{leave(0, edgeA, "u", 0), join(0, edgeA, "u"), leave(0, edgeB, "u", 0), lose(0, edgeB, 0)},
			[]string{"", "+u", "", ""}, "u"},
		{"two edges", []step{join(0, edgeA, "u"), join(0, edgeB, "u"), leave(1, edgeA, "u", 0), leave(2, edgeB, "u", 0)},
			[]string{"+u", "", "", "-u"}, ""},
		{"grace passes", []step{join(0, edgeA, "u"), leave(1, edgeA, "u", 2), expire(2), expire(3), expire(9)},
			[]string{"+u", "", "", "-u", ""}, ""},
		{"members in a grace are members", []step{join(0, edgeA, "u"), leave(1, edgeA, "u", 2)}, []string{"+u", ""}, "u"},
		{"back within the grace", []step{join(0, edgeA, "u"), leave(1, edgeA, "u", 2), join(2, edgeA, "u"), expire(9)},
			[]string{"+u", "", "", ""}, "u"},
		{"back on another edge", []step{join(0, edgeA, "u"), leave(1, edgeA, "u", 2), join(2, edgeB, "u"), expire(9), leave(9, edgeB, "u", 0)},
			[]string{"+u", "", "", "", "-u"}, ""},
		{"back too late", []step{join(0, edgeA, "u"), leave(1, edgeA, "u", 2), expire(3), join(4, edgeA, "u")},
			[]string{"+u", "", "-u", "+u"}, "u"},
		{"a second leave shortens", []step{join(0, edgeA, "u"), leave(1, edgeA, "u", 30), leave(2, edgeA, "u", 2), expire(4)},
			[]string{"+u", "", "", "-u"}, ""},
		{"a second leave shortens to now", []step{join(0, edgeA, "u"), leave(1, edgeA, "u", 30), leave(2, edgeA, "u", 0), expire(99)},
			[]string{"+u", "", "-u", ""}, ""},
		{"a second leave never prolongs", []step{join(0, edgeA, "u"), leave(1, edgeA, "u", 2), leave(2, edgeA, "u", 30), expire(3)},
			[]string{"+u", "", "", "-u"}, ""},
		{"the last grace counts", []step{join(0, edgeA, "u"), join(0, edgeB, "u"), leave(1, edgeA, "u", 10), leave(2, edgeB, "u", 0), expire(10), expire(11)},
			[]string{"+u", "", "", "", "", "-u"}, ""},
		{"coming back ends every grace", []step{join(0, edgeA, "u"), lose(1, edgeA, 10), join(2, edgeB, "u"), leave(3, edgeB, "u", 0), expire(99)},
			[]string{"+u", "", "", "-u", ""}, ""},
		{"a dead edge", []step{join(0, edgeA, "u"), join(0, edgeA, "v"), join(0, edgeB, "v"), join(0, edgeA, "w"), lose(1, edgeA, 10), join(5, edgeB, "w"), expire(10), expire(11)},
			[]string{"+u", "+v", "", "+w", "", "", "", "-u"}, "vw"},
		{"a dead edge, at once", []step{join(0, edgeA, "v"), join(0, edgeA, "u"), join(0, edgeB, "w"), lose(1, edgeA, 0), lose(1, edgeA, 0)},
			[]string{"+v", "+u", "+w", "-u-v", ""}, "w"},
		{"a dead edge shortens no less than a leave", []step{join(0, edgeA, "u"), leave(1, edgeA, "u", 30), lose(2, edgeA, 10), expire(12)},
			[]string{"+u", "", "", "-u"}, ""},
		{"losing a process loses older ones, not newer", []step{join(0, edgeA, "u"), join(0, edgeA2, "v"), lose(1, edgeA, 0), join(2, edgeA, "w"), lose(3, edgeA2, 0)},
			[]string{"+u", "+v", "-u", "+w", "-v-w"}, ""},
		{"a newer process takes over", []step{join(0, edgeA, "u"), join(1, edgeA2, "u"), lose(2, edgeA, 0), leave(3, edgeA, "u", 0), leave(4, edgeA2, "u", 0)},
			[]string{"+u", "", "", "", "-u"}, ""},
		{"a newer process leaves for the older", []step{join(0, edgeA, "u"), join(1, edgeA2, "u"), leave(2, edgeA2, "u", 0)},
			[]string{"+u", "", "-u"}, ""},
		{"an older process is not believed", []step{join(0, edgeA2, "u"), join(1, edgeA, "u"), leave(2, edgeA2, "u", 0)},
			[]string{"+u", "", "-u"}, ""},
		{"restored users are known", []step{restore(edgeA, "u", "v"), join(0, edgeB, "u"), leave(1, edgeA, "v", 0), leave(1, edgeA, "u", 0), leave(1, edgeB, "u", 0)},
			[]string{"", "", "-v", "", "-u"}, ""},
		{"restoring ends a grace", []step{join(0, edgeA, "u"), leave(1, edgeA, "u", 2), restore(edgeA, "u"), expire(9)},
			[]string{"+u", "", "", ""}, "u"},
		{"wild graces", []step{join(0, edgeA, "u"), join(0, edgeA, "v"), leave(1, edgeA, "u", -1), leave(1, edgeA, "v", 1<<33), expire(3601)},
			[]string{"+u", "+v", "-u", "", "-v"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r membership.Room
			for i, do := range tt.steps {
				if got := do(&r); got != tt.want[i] {
					t.Fatalf("step %d announces %q, want %q", i, got, tt.want[i])
				}
			}
			if got := ids(r.Users(99)); got != tt.left || r.Len() != len(tt.left) || r.Empty() != (tt.left == "") {
				t.Fatalf("members %q, %d; want %q", got, r.Len(), tt.left)
			}
		})
	}
}

func TestTheLatestNameShows(t *testing.T) {
	t.Parallel()
	var r membership.Room
	r.Join(at(0), edgeA, wire.User{ID: "u", Name: "old"})
	r.Join(at(1), edgeB, wire.User{ID: "u", Name: "new"})
	if got := r.Users(1); len(got) != 1 || got[0].Name != "new" {
		t.Fatalf("Users() = %v", got)
	}
	if got, ok := r.User("u"); !ok || got != (wire.User{ID: "u", Name: "new"}) {
		t.Fatalf("User(u) = %v, %v", got, ok)
	}
	if got, ok := r.User("v"); ok || got != (wire.User{}) {
		t.Fatalf("User(v) = %v, %v", got, ok)
	}
}

// TestManyMembers drives the sorted chunks through splits, shrinking and merging.
func TestManyMembers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		id   func(i int) string
	}{
		{"random ids", func(int) string { return fmt.Sprintf("u%05d", rand.IntN(20_000)) }},
		{"growing ids", func(i int) string { return fmt.Sprintf("u%05d", i%20_000) }},
		{"falling ids", func(i int) string { return fmt.Sprintf("u%05d", 20_000-i%20_000) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r membership.Room
			want := map[string]bool{}
			check := func() {
				t.Helper()
				all := make([]string, 0, len(want))
				for id := range want {
					all = append(all, id)
				}
				slices.Sort(all)
				users := r.Users(len(all) + 1)
				if len(users) != len(all) || r.Len() != len(all) {
					t.Fatalf("%d users, Len %d, want %d", len(users), r.Len(), len(all))
				}
				for i, u := range users {
					if u.ID != all[i] || !r.Has(u.ID) {
						t.Fatalf("user %d is %s, want %s", i, u.ID, all[i])
					}
				}
			}
			for i := range 30_000 {
				id := tt.id(i)
				if first := r.Join(at(0), edgeA, user(id)); first == want[id] {
					t.Fatalf("Join(%s) = %v", id, first)
				}
				want[id] = true
				if i%10_000 == 0 {
					check()
				}
			}
			check()
			left := 0
			for id := range want {
				if !r.Leave(at(1), edgeA, id, 0) || r.Has(id) {
					t.Fatalf("%s has not left", id)
				}
				delete(want, id)
				if left++; left%4_000 == 0 || len(want) < 3 {
					check()
				}
			}
			if !r.Empty() {
				t.Fatal("not empty")
			}
		})
	}
}

// TestUsersAreTheCallers: what Users gave does not change with the room.
func TestUsersAreTheCallers(t *testing.T) {
	t.Parallel()
	var r membership.Room
	for _, id := range []string{"b", "c", "d"} {
		r.Join(at(0), edgeA, user(id))
	}
	users := r.Users(2)
	r.Join(at(0), edgeA, user("a"))
	r.Leave(at(0), edgeA, "c", 0)
	if ids(users) != "bc" || ids(r.Users(2)) != "ab" || ids(r.Users(0)) != "" || ids(r.Users(-1)) != "" {
		t.Fatalf("%v, now %v", users, r.Users(2))
	}
}

// heap is the bytes in use after a full collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkMemory reports what a room costs beyond the strings of its users.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{2, 8, 200, 5000} {
		b.Run(fmt.Sprintf("room of %d", n), func(b *testing.B) {
			users := make([]wire.User, n)
			for i := range users {
				users[i] = user(fmt.Sprintf("user-%06d", i))
			}
			rooms := make([]membership.Room, max(1, 20_000/n))
			before := heap()
			for b.Loop() {
				for i := range rooms {
					rooms[i] = membership.Room{}
					for _, u := range users {
						rooms[i].Join(epoch, edgeA, u)
					}
				}
			}
			b.ReportMetric(float64(heap()-before)/float64(len(rooms)), "B/room")
			runtime.KeepAlive(rooms)
		})
	}
}

func BenchmarkJoinLeave(b *testing.B) {
	for _, n := range []int{2, 200, 5000, 100_000} {
		b.Run(fmt.Sprintf("room of %d", n), func(b *testing.B) {
			var r membership.Room
			users := make([]wire.User, n)
			for i := range users {
				users[i] = user(fmt.Sprintf("user-%06d", i))
				r.Join(epoch, edgeA, users[i])
			}
			rand.Shuffle(n, func(i, j int) { users[i], users[j] = users[j], users[i] })
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				u := users[i%n]
				if !r.Leave(epoch, edgeA, u.ID, 0) || !r.Join(epoch, edgeA, u) {
					b.Fatal("not a member")
				}
			}
		})
	}
}

func BenchmarkGraceAndBack(b *testing.B) {
	var r membership.Room
	for i := range 5000 {
		r.Join(epoch, edgeA, user(fmt.Sprintf("user-%06d", i)))
	}
	r.LoseEdge(epoch, edgeA, 10*time.Second)
	u := user("user-002500")
	b.ReportAllocs()
	for b.Loop() {
		if r.Join(epoch, edgeB, u) || r.Leave(epoch, edgeB, u.ID, 2*time.Second) {
			b.Fatal("not in a grace")
		}
	}
}

func BenchmarkAppendUsers200of5000(b *testing.B) {
	var r membership.Room
	for i := range 5000 {
		r.Join(epoch, edgeA, user(fmt.Sprintf("user-%06d", i)))
	}
	var dst []wire.User
	b.ReportAllocs()
	for b.Loop() {
		if dst = r.AppendUsers(dst[:0], 200); len(dst) != 200 {
			b.Fatal(len(dst))
		}
	}
}

func BenchmarkLoseEdge5000(b *testing.B) {
	users := make([]wire.User, 5000)
	for i := range users {
		users[i] = user(fmt.Sprintf("user-%06d", i))
	}
	b.ReportAllocs()
	for b.Loop() {
		var r membership.Room
		for _, u := range users {
			r.Join(epoch, edgeA, u)
		}
		r.LoseEdge(epoch, edgeA, 10*time.Second)
		if gone := r.Expire(at(10)); len(gone) != len(users) {
			b.Fatal(len(gone))
		}
	}
}
