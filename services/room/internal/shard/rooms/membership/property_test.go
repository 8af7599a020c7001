package membership_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
)

// model is the same thing said slowly: for each user, which edges hold them and
// until when (zero: live), and what the members of the room have been sent.
type model struct {
	holds map[string]map[membership.Edge]time.Time
	told  map[string]bool // userJoined was sent, userLeft was not
}

func (m *model) join(e membership.Edge, u string) {
	held := m.holds[u]
	if held == nil {
		held = map[membership.Edge]time.Time{}
		m.holds[u] = held
	}
	maps.DeleteFunc(held, func(h membership.Edge, until time.Time) bool {
		return !until.IsZero() || h.ID == e.ID && h.Gen < e.Gen
	})
	for h := range held {
		if h.ID == e.ID && h.Gen > e.Gen {
			return
		}
	}
	held[e] = time.Time{}
}

func (m *model) leave(now time.Time, e membership.Edge, u string, grace time.Duration) {
	until := now.Add(grace)
	if old, ok := m.holds[u][e]; ok && (old.IsZero() || until.Before(old)) {
		m.holds[u][e] = until
	}
}

// due is when user is gone; zero while an edge holds them.
func (m *model) due(u string) (last time.Time) {
	for _, until := range m.holds[u] {
		if until.IsZero() {
			return until
		}
		if until.After(last) {
			last = until
		}
	}
	return last
}

// over removes and returns the users whose grace has ended, sorted.
func (m *model) over(now time.Time, users ...string) (gone []string) {
	for _, u := range users {
		if due := m.due(u); len(m.holds[u]) > 0 && !due.IsZero() && !due.After(now) {
			delete(m.holds, u)
			gone = append(gone, u)
		}
	}
	slices.Sort(gone)
	return gone
}

func (m *model) members() []string { return slices.Sorted(maps.Keys(m.holds)) }

// TestRoomIsItsModel: any sequence of commands announces what the model says,
// every user joins and leaves in turns, and the queries agree.
func TestRoomIsItsModel(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c", "d"}
	edges := []membership.Edge{{ID: "A", Gen: 1}, {ID: "A", Gen: 2}, {ID: "B", Gen: 1}}
	graces := []time.Duration{0, 2 * time.Second, 10 * time.Second, 30 * time.Second}
	rapid.Check(t, func(t *rapid.T) {
		var r membership.Room
		m := &model{map[string]map[membership.Edge]time.Time{}, map[string]bool{}}
		now := epoch
		someone, somewhere, grace := rapid.SampledFrom(names), rapid.SampledFrom(edges), rapid.SampledFrom(graces)
		left := func(got []wire.User, want []string) {
			var gone []string
			for _, u := range got {
				gone = append(gone, u.ID)
				if !m.told[u.ID] {
					t.Fatalf("%s left without having joined", u.ID)
				}
				delete(m.told, u.ID)
			}
			slices.Sort(gone)
			if !slices.Equal(gone, want) {
				t.Fatalf("left: %v, want %v", gone, want)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { compare(t, &r, m, names) },
			"join": func(t *rapid.T) {
				e, u := somewhere.Draw(t, "edge"), someone.Draw(t, "user")
				m.join(e, u)
				if first := r.Join(now, e, user(u)); first == m.told[u] {
					t.Fatalf("Join(%s) = %v, and told is %v", u, first, m.told[u])
				}
				m.told[u] = true
			},
			"leave": func(t *rapid.T) {
				e, u, g := somewhere.Draw(t, "edge"), someone.Draw(t, "user"), grace.Draw(t, "grace")
				changes := m.holds[u][e]
				m.leave(now, e, u, g)
				var want []string
				if m.holds[u][e] != changes {
					want = m.over(now, u)
				}
				var got []wire.User
				if r.Leave(now, e, u, g) {
					got = []wire.User{{ID: u}}
				}
				left(got, want)
			},
			"lose": func(t *rapid.T) {
				e, g := somewhere.Draw(t, "edge"), grace.Draw(t, "grace")
				var touched []string
				for _, u := range m.members() {
					for h, until := range m.holds[u] {
						if h.ID == e.ID && h.Gen <= e.Gen {
							if m.leave(now, h, u, g); m.holds[u][h] != until {
								touched = append(touched, u)
							}
						}
					}
				}
				want := m.over(now, touched...)
				left(r.LoseEdge(now, e, g), want)
			},
			"expire": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 12_000).Draw(t, "ms")) * time.Millisecond)
				want := m.over(now, m.members()...)
				left(r.Expire(now), want)
			},
			"time": func(t *rapid.T) { // passes, before a call of Expire
				now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
			},
		})
	})
}

func compare(t *rapid.T, r *membership.Room, m *model, names []string) {
	want := m.members()
	var got []string
	for _, u := range r.Users(len(names)) {
		got = append(got, u.ID)
	}
	if !slices.Equal(got, want) || r.Len() != len(want) || r.Empty() != (len(want) == 0) {
		t.Fatalf("members %v, %d; want %v", got, r.Len(), want)
	}
	var next time.Time
	for _, u := range names {
		if r.Has(u) != m.told[u] || r.Has(u) != (m.holds[u] != nil) {
			t.Fatalf("Has(%s) = %v, told %v", u, r.Has(u), m.told[u])
		}
		if due := m.due(u); !due.IsZero() && (next.IsZero() || due.Before(next)) {
			next = due
		}
	}
	if at, ok := r.Next(); ok == next.IsZero() || !at.Equal(next) {
		t.Fatalf("Next() = %v, %v; want %v", at, ok, next)
	}
}
