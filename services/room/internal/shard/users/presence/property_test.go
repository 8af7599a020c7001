package presence_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/users/presence"
)

// observers hear presence as edges deliver it: a member of a room of Rooms who
// is in no room of Known. Each stays in the same rooms.
var observers = [][]string{{"r1"}, {"r2"}, {"r1", "r2"}, {"r2", "r3"}, {"r3", "r4"}, {"r1", "r2", "r3", "r4"}, {"r9"}}

// period is one user's online period, as the world outside sees it.
type period struct {
	held   map[presence.Edge][]string  // live
	graces map[presence.Edge]time.Time // since the last Up
	last   []string                    // rooms live just before the last close
	heard  []int                       // times that each observer was notified of Online
}

type model struct {
	scope presence.Scope
	users map[string]*period // announced or not, online
	hears func(ev presence.Event, observer int) bool
}

// hear checks the announcements against those that are allowed.
func (m *model) hear(t *rapid.T, events []presence.Event) {
	for _, ev := range events {
		p := m.users[ev.User.ID]
		if p == nil {
			t.Fatalf("%v of who is not online", ev)
		}
		if !slices.IsSorted(ev.Rooms) || !slices.IsSorted(ev.Known) {
			t.Fatalf("%v is not sorted", ev)
		}
		for i := range observers {
			if ev.Kind == presence.Online && m.hears(ev, i) {
				p.heard[i]++
			}
		}
		if ev.Kind == presence.Offline {
			for _, room := range p.last {
				if m.scope == presence.ScopeRooms && !slices.Contains(ev.Rooms, room) {
					t.Fatalf("%v does not tell %s", ev, room)
				}
			}
		}
	}
}

// over reports whether the period of user has ended at now.
func (m *model) over(user string, now time.Time) bool {
	p := m.users[user]
	if p == nil || len(p.held) > 0 {
		return false
	}
	for _, until := range p.graces {
		if until.After(now) {
			return false
		}
	}
	return true
}

// ended checks that exactly those whose period is over were sent Offline, if
// anybody may hear of them, and ends their periods.
func (m *model) ended(t *rapid.T, now time.Time, events []presence.Event, candidates []string) {
	m.hear(t, events)
	for _, u := range candidates {
		told := slices.ContainsFunc(events, func(ev presence.Event) bool { return ev.Kind == presence.Offline && ev.User.ID == u })
		over := m.over(u, now)
		if told && !over || over && !told && (m.scope == presence.ScopeAll || len(m.users[u].last) > 0) {
			t.Fatalf("%s: told offline %v, is %v", u, told, over)
		}
		if over {
			delete(m.users, u)
		}
	}
}

func (m *model) down(now time.Time, e presence.Edge, u string, grace time.Duration) (changed bool) {
	p := m.users[u]
	if p == nil {
		return false
	}
	until := now.Add(grace)
	if rooms, live := p.held[e]; live {
		if len(p.held) == 1 {
			p.last = rooms
		}
		delete(p.held, e)
		p.graces[e] = until
		return true
	}
	if old, ok := p.graces[e]; ok && until.Before(old) {
		p.graces[e] = until
		return true
	}
	return false
}

// TestEveryPeriodIsToldOnce: an online period begins with the first Up, ends
// after the last grace, and an observer who shares a room with the user is notified
// of each once.
func TestEveryPeriodIsToldOnce(t *testing.T) {
	t.Parallel()
	for name, scope := range map[string]presence.Scope{"all": presence.ScopeAll, "rooms": presence.ScopeRooms} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) { playPeriods(t, scope) })
		})
	}
}

func playPeriods(t *rapid.T, scope presence.Scope) {
	s := presence.New(scope)
	m := &model{scope: scope, users: map[string]*period{}}
	m.hears = func(ev presence.Event, i int) bool {
		shares := func(room string) bool { return slices.Contains(observers[i], room) }
		return scope == presence.ScopeAll || slices.ContainsFunc(ev.Rooms, shares) && !slices.ContainsFunc(ev.Known, shares)
	}
	now := epoch
	someone := rapid.SampledFrom([]string{"a", "b", "c"})
	somewhere := rapid.SampledFrom([]presence.Edge{edgeA, edgeB, {ID: "C", Gen: 9}})
	grace := rapid.SampledFrom([]time.Duration{0, 2 * time.Second, 10 * time.Second})
	rooms := rapid.SliceOfN(rapid.SampledFrom([]string{"r1", "r2", "r3", "r4"}), 0, 4)
	up := func(t *rapid.T) (presence.Edge, wire.User, []string) {
		e, u, in := somewhere.Draw(t, "edge"), user(someone.Draw(t, "user")), rooms.Draw(t, "rooms")
		p := m.users[u.ID]
		if p == nil {
			p = &period{held: map[presence.Edge][]string{}, heard: make([]int, len(observers))}
			m.users[u.ID] = p
		}
		p.held[e], p.graces = in, map[presence.Edge]time.Time{}
		return e, u, in
	}
	t.Repeat(map[string]func(*rapid.T){
		"": func(t *rapid.T) { checkPeriods(t, s, m, now) },
		"up": func(t *rapid.T) {
			e, u, in := up(t)
			m.hear(t, s.Up(now, e, u, in))
		},
		"restore": func(t *rapid.T) {
			e, u, in := up(t)
			s.UpSilently(now, e, u, in)
			for i, rooms := range observers { // the previous owner has notified them
				if scope == presence.ScopeAll || slices.ContainsFunc(in, func(r string) bool { return slices.Contains(rooms, r) }) {
					m.users[u.ID].heard[i] = 1
				}
			}
		},
		"down": func(t *rapid.T) {
			e, u, g := somewhere.Draw(t, "edge"), someone.Draw(t, "user"), grace.Draw(t, "grace")
			var touched []string
			if m.down(now, e, u, g) {
				touched = append(touched, u)
			}
			m.ended(t, now, s.Down(now, e, u, g), touched)
		},
		"lose": func(t *rapid.T) {
			e, g := somewhere.Draw(t, "edge"), grace.Draw(t, "grace")
			var touched []string
			for _, u := range []string{"a", "b", "c"} {
				if m.down(now, e, u, g) {
					touched = append(touched, u)
				}
			}
			m.ended(t, now, s.LoseEdge(now, e, g), touched)
		},
		"status": func(t *rapid.T) {
			u := someone.Draw(t, "user")
			events, err := s.SetStatus(now, user(u), "busy", "")
			if online := m.users[u] != nil; (err == nil) != online || online && len(events) != 1 {
				t.Fatalf("SetStatus(%s) = %v, %v", u, events, err)
			}
			m.hear(t, events)
		},
		"expire": func(t *rapid.T) {
			now = now.Add(time.Duration(rapid.IntRange(0, 11_000).Draw(t, "ms")) * time.Millisecond)
			m.ended(t, now, s.Expire(now), []string{"a", "b", "c"})
		},
	})
}

func checkPeriods(t *rapid.T, s *presence.Set, m *model, now time.Time) {
	if s.OnlineCount() != len(m.users) || len(s.Online(now, 9)) != len(m.users) {
		t.Fatalf("%d online, want %d", s.OnlineCount(), len(m.users))
	}
	var next time.Time
	for _, x := range s.Get(now, []string{"a", "b", "c"}) {
		p := m.users[x.User.ID]
		if x.Online != (p != nil) {
			t.Fatalf("%+v, want online %v", x, p != nil)
		}
		if p == nil {
			continue
		}
		var due time.Time
		for _, until := range p.graces {
			if len(p.held) == 0 && until.After(due) {
				due = until
			}
		}
		if !due.IsZero() && (next.IsZero() || due.Before(next)) {
			next = due
		}
		for i, heard := range p.heard {
			shares := m.scope == presence.ScopeAll
			for _, in := range p.held {
				shares = shares || slices.ContainsFunc(in, func(r string) bool { return slices.Contains(observers[i], r) })
			}
			if heard > 1 || shares && heard == 0 {
				t.Fatalf("observer %d heard %d times that %s is online", i, heard, x.User.ID)
			}
		}
	}
	if at, ok := s.Next(); ok == next.IsZero() || !at.Equal(next) {
		t.Fatalf("Next() = %v, %v; want %v", at, ok, next)
	}
}
