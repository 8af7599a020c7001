package agreement_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/agreement"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
)

// world is two edges and the owner of a room. Every message between them may be lost.
type world struct {
	now   time.Time
	lossy func() bool
	edges map[membership.Edge]map[string]bool // users of each

	room   membership.Room
	tally  *membership.Tally
	agreed *agreement.Edges
	asked  int // snapshots
}

func newWorld() *world {
	w := &world{now: start, edges: map[membership.Edge]map[string]bool{e1: {}, e2: {}}}
	w.takeOver()
	return w
}

// takeOver replaces the owner by one that knows nothing.
func (w *world) takeOver() {
	w.room, w.tally, w.agreed = membership.Room{}, membership.NewTally(), agreement.New()
	w.room.Init("r", &membership.Book{Tally: w.tally, Changed: func(string, wire.User, membership.State) {}})
}

// ask has the edge send its snapshot in two parts, each of which may be lost.
func (w *world) ask(e membership.Edge) {
	if w.asked++; w.lossy() {
		return
	}
	all := slices.Sorted(maps.Keys(w.edges[e]))
	for n, users := range [][]string{all[:len(all)/2], all[len(all)/2:]} {
		p := part(e, uint64(n)+1, n == 1)
		for _, u := range users {
			p.Rooms = append(p.Rooms, wire.RoomMembers{Users: []wire.User{{ID: u}}})
		}
		if w.lossy() {
			continue
		}
		parts, _ := w.agreed.Receive(p)
		if len(parts) == 0 {
			continue
		}
		held := make(map[string]bool)
		for _, p := range parts {
			for _, r := range p.Rooms {
				held[r.Users[0].ID] = true
				w.room.Join(w.now, e, r.Users[0])
			}
		}
		w.room.LeaveUnless(w.now, e, 2*time.Second, func(u string) bool { return held[u] })
	}
}

// second lets a second pass.
func (w *world) second(n int) {
	w.now = w.now.Add(time.Second)
	w.room.Expire(w.now)
	for _, e := range w.agreed.Update(w.now, []membership.Edge{e1, e2}) {
		w.ask(e)
	}
	if n%2 == 0 {
		return
	}
	for e, users := range w.edges {
		var sum wire.Sum
		for u := range users {
			sum.Add(wire.MemberSum("r", u))
		}
		if !w.lossy() && w.agreed.Checked(w.now, e, w.tally.Of(e) == sum) {
			w.ask(e)
		}
	}
}

// Whatever is lost, 10 s after messages arrive again the owner knows the members, and asks no
// more.
func TestOwnerAndEdgesConverge(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		w.lossy = func() bool { return rapid.IntRange(0, 2).Draw(t, "lost") == 0 }
		seconds := 0
		t.Repeat(map[string]func(*rapid.T){
			"join or leave": func(t *rapid.T) {
				e, u := rapid.SampledFrom([]membership.Edge{e1, e2}).Draw(t, "edge"), rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "user")
				joined := !w.edges[e][u]
				if delete(w.edges[e], u); joined {
					w.edges[e][u] = true
				}
				switch {
				case w.lossy():
				case joined:
					w.room.Join(w.now, e, wire.User{ID: u})
				default:
					w.room.Leave(w.now, e, u, 0)
				}
			},
			"second":   func(*rapid.T) { seconds++; w.second(seconds) },
			"takeover": func(*rapid.T) { w.takeOver() },
		})
		w.lossy = func() bool { return false }
		for range 10 {
			seconds++
			w.second(seconds)
		}
		var want, got []string
		for _, users := range w.edges {
			want = slices.AppendSeq(want, maps.Keys(users))
		}
		slices.Sort(want)
		for _, u := range w.room.Users(10) {
			got = append(got, u.ID)
		}
		if want = slices.Compact(want); !slices.Equal(got, want) {
			t.Fatalf("the owner knows %v, the edges hold %v", got, want)
		}
		asked := w.asked
		for range 10 {
			seconds++
			w.second(seconds)
		}
		if w.asked != asked {
			t.Fatalf("%d snapshots were requested although nothing changed", w.asked-asked)
		}
	})
}
