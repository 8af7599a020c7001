package typing_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/typing"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

func user(id string) wire.User { return wire.User{ID: id, Name: "name of " + id} }

func ids(users []wire.User) (s string) {
	for _, u := range users {
		s += u.ID
	}
	return s
}

// step is one call and the notice that it causes: "+u" types, "-u" has stopped.
type step func(*typing.Room) string

func set(ms int, u string, on bool) step {
	return func(r *typing.Room) string {
		switch changed := r.Set(at(ms), user(u), on); {
		case changed && on:
			return "+" + u
		case changed:
			return "-" + u
		}
		return ""
	}
}

func drop(u string) step {
	return func(r *typing.Room) string {
		if r.Stop(u) {
			return "-" + u
		}
		return ""
	}
}

func expire(ms int) step {
	return func(r *typing.Room) (s string) {
		for _, u := range r.Expire(at(ms)) {
			s += "-" + u.ID
		}
		return s
	}
}

func TestRoom(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		steps []step
		want  []string
		left  string
	}{
		{"start and stop", []step{set(0, "u", true), set(1, "u", false), set(2, "u", false)}, []string{"+u", "-u", ""}, ""},
		{"a stop of nothing", []step{set(0, "u", false), drop("u")}, []string{"", ""}, ""},
		{"it ends by itself", []step{set(0, "u", true), expire(4999), expire(5000), expire(9999)}, []string{"+u", "", "-u", ""}, ""},
		{"renewal is silent and prolongs", []step{set(0, "u", true), set(3000, "u", true), expire(5000), expire(7999), expire(8000)},
			[]string{"+u", "", "", "", "-u"}, ""},
		{"sending or leaving ends it", []step{set(0, "u", true), drop("u"), drop("u"), expire(9999)}, []string{"+u", "-u", "", ""}, ""},
		{"several", []step{set(0, "v", true), set(1, "u", true), set(2, "w", true), set(3, "v", true), expire(5002)},
			[]string{"+v", "+u", "+w", "", "-u-w"}, "v"},
		{"a clock that steps back", []step{set(1000, "u", true), set(0, "v", true), expire(5999), expire(6000)},
			[]string{"+u", "+v", "", "-u-v"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r typing.Room
			for i, do := range tt.steps {
				if got := do(&r); got != tt.want[i] {
					t.Fatalf("step %d tells %q, want %q", i, got, tt.want[i])
				}
			}
			if got := ids(r.List()); got != tt.left || r.Len() != len(tt.left) {
				t.Fatalf("typing: %q, %d; want %q", got, r.Len(), tt.left)
			}
		})
	}
}

func TestRoomIsBounded(t *testing.T) {
	t.Parallel()
	var r typing.Room
	for i := range typing.MaxUsers {
		if !r.Set(at(0), user(fmt.Sprint(i)), true) {
			t.Fatalf("user %d is not told", i)
		}
	}
	if r.Set(at(0), user("more"), true) || r.Len() != typing.MaxUsers {
		t.Fatalf("one more of %d", r.Len())
	}
	if r.Set(at(1), user("7"), true) || !r.Stop("7") || !r.Set(at(1), user("more"), true) {
		t.Fatal("those in a full room can renew and make place")
	}
}

// TestRoomIsItsModel compares the room with a map that is searched.
func TestRoomIsItsModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var r typing.Room
		until := map[string]time.Time{}
		now := epoch
		someone := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				var next time.Time
				for _, due := range until {
					if next.IsZero() || due.Before(next) {
						next = due
					}
				}
				if at, ok := r.Next(); ok != (len(until) > 0) || !at.Equal(next) {
					t.Fatalf("Next() = %v, %v; want %v", at, ok, next)
				}
				var want string
				for _, u := range slices.Sorted(maps.Keys(until)) {
					want += u
				}
				if got := ids(r.List()); got != want || r.Len() != len(want) {
					t.Fatalf("typing: %q, %d; want %q", got, r.Len(), want)
				}
			},
			"on": func(t *rapid.T) {
				u := someone.Draw(t, "user")
				if _, was := until[u]; r.Set(now, user(u), true) == was {
					t.Fatalf("%s typed: %v", u, was)
				}
				until[u] = now.Add(5 * time.Second)
			},
			"off": func(t *rapid.T) {
				u := someone.Draw(t, "user")
				if _, was := until[u]; r.Set(now, user(u), false) != was {
					t.Fatalf("%s typed: %v", u, was)
				}
				delete(until, u)
			},
			"drop": func(t *rapid.T) {
				u := someone.Draw(t, "user")
				if _, was := until[u]; r.Stop(u) != was {
					t.Fatalf("%s typed: %v", u, was)
				}
				delete(until, u)
			},
			"expire": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 4000).Draw(t, "ms")) * time.Millisecond)
				for _, u := range r.Expire(now) {
					if due, was := until[u.ID]; !was || due.After(now) {
						t.Fatalf("%s has ended, due %v", u.ID, due)
					}
					delete(until, u.ID)
				}
				for u, due := range until {
					if !due.After(now) {
						t.Fatalf("%s has not ended, due %v", u, due)
					}
				}
			},
		})
	})
}

func BenchmarkRenew(b *testing.B) {
	for _, n := range []int{1, 10, typing.MaxUsers} {
		b.Run(fmt.Sprintf("%d typing", n), func(b *testing.B) {
			var r typing.Room
			users := make([]wire.User, n)
			for i := range users {
				users[i] = user(fmt.Sprintf("user-%06d", i))
				r.Set(epoch, users[i], true)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if r.Set(epoch, users[i%n], true) {
					b.Fatal("not a renewal")
				}
			}
		})
	}
}
