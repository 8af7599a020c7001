package limit_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/shared/limit"
)

func TestLog(t *testing.T) {
	t.Parallel()
	type take struct {
		at    time.Duration
		limit int
		ok    bool
		retry time.Duration
	}
	for _, tt := range []struct {
		name  string
		takes []take
	}{
		{"one", []take{{0, 1, true, 0}, {0, 1, false, time.Minute}, {59 * time.Second, 1, false, time.Second}, {time.Minute, 1, true, 0}}},
		{"the oldest frees one", []take{{0, 2, true, 0}, {10 * time.Second, 2, true, 0}, {20 * time.Second, 2, false, 40 * time.Second},
			{time.Minute, 2, true, 0}, {time.Minute, 2, false, 10 * time.Second}}},
		{"unlimited", []take{{0, 0, true, 0}, {0, 0, true, 0}, {0, -1, true, 0}, {0, 1, true, 0}}},
		{"a limit that is raised", []take{{0, 1, true, 0}, {0, 1, false, time.Minute}, {0, 3, true, 0}, {0, 3, true, 0}, {0, 3, false, time.Minute}}},
		{"a limit that is lowered", []take{{0, 3, true, 0}, {time.Second, 3, true, 0}, {2 * time.Second, 3, true, 0},
			{2 * time.Second, 1, false, time.Minute}, {2 * time.Second, 2, false, 59 * time.Second}, {61 * time.Second, 2, true, 0}}},
		{"within a microsecond nothing is given too early", []take{{1, 1, true, 0}, {time.Minute + 1, 1, false, 999}, {time.Minute + 1000, 1, true, 0}}},
		{"a clock that goes back", []take{{time.Minute, 2, true, 0}, {0, 2, true, 0}, {time.Minute, 2, false, time.Minute}, {2 * time.Minute, 2, true, 0}}},
		{"before the origin", []take{{-time.Minute - 1, 1, true, 0}, {-2, 1, false, 2}, {-1, 1, false, 1}, {0, 1, true, 0}}},
		{"idle for longer than 32 bits of microseconds", []take{{0, 1, true, 0}, {100 * time.Minute, 1, true, 0}, {100 * time.Minute, 1, false, time.Minute},
			{1 << 62, 1, true, 0}, {1 << 62, 1, false, time.Minute + 96}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var l limit.Log
			for i, take := range tt.takes {
				if ok, retry := l.Take(take.at, take.limit); ok != take.ok || retry != take.retry {
					t.Fatalf("take %d: %v, %v; want %v, %v", i, ok, retry, take.ok, take.retry)
				}
			}
		})
	}
}

// TestGreedyGetsTheLimit: who asks all the time gets exactly the limit in every
// window from the first grant on.
func TestGreedyGetsTheLimit(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 5, 30, 120, 5000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			var l limit.Log
			for window := range 3 {
				granted := 0
				for ms := range 60_000 {
					if ok, _ := l.Take(time.Duration(window)*limit.Window+time.Duration(ms)*time.Millisecond, n); ok {
						granted++
					}
				}
				if granted != n {
					t.Fatalf("%d granted in window %d, want %d", granted, window, n)
				}
			}
		})
	}
}

// TestNeverMoreThanTheLimit: at any instants, to the nanosecond, never more than
// the limit within a Window, never refused when fewer were granted, and
// retryAfter is exact. A log that was handed over answers the same.
func TestNeverMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "limit")
		unit := rapid.SampledFrom([]time.Duration{1, time.Microsecond, time.Millisecond}).Draw(t, "unit")
		now := time.Duration(rapid.Int64Range(-1<<40, 1<<50).Draw(t, "start")) / unit * unit
		var l limit.Log
		var grants []time.Duration
		lost := time.Microsecond // at most: each rounding, at the grant and when handed over
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				now += time.Duration(rapid.Int64Range(0, int64(15*time.Second)).Draw(t, "step")) / unit * unit
				within := 0
				for _, g := range grants {
					if now-g < limit.Window {
						within++
					}
				}
				ok, retry := l.Take(now, n)
				switch {
				case ok && within >= n:
					t.Fatalf("granted at %v: %d in the window, limit %d", now, within, n)
				case ok:
					grants = append(grants, now)
					return
				case unit > 1 && within < n:
					t.Fatalf("refused at %v: %d in the window, limit %d", now, within, n)
				}
				exact := grants[len(grants)-n] + limit.Window - now
				if retry < exact || retry >= exact+lost || unit > 1 && retry != exact {
					t.Fatalf("retry after %v, want %v", retry, exact)
				}
				for after, want := range map[time.Duration]bool{retry - 1: false, retry: true} {
					var copied limit.Log
					copied.Restore(now, l.Ages(nil, now))
					if ok, _ := copied.Take(now+after, n); ok != want {
						t.Fatalf("after %v of %v: %v", after, retry, ok)
					}
				}
			},
			"long pause": func(t *rapid.T) {
				now += time.Duration(rapid.Int64Range(0, int64(3*time.Hour)).Draw(t, "pause")) / unit * unit
			},
			"hand over": func(t *rapid.T) {
				ages := l.Ages(nil, now)
				origin := time.Duration(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "origin")) / unit * unit
				slices.Reverse(ages) // in any order
				l = limit.Log{}
				l.Restore(origin, ages)
				for i := range grants {
					grants[i] += origin - now
				}
				now = origin
				lost += time.Microsecond
			},
			"": func(t *rapid.T) {
				used := l.Used(now)
				if ages := l.Ages(nil, now); len(ages) != used || used > n || !slices.IsSortedFunc(ages, func(a, b time.Duration) int { return int(b - a) }) {
					t.Fatalf("used %d of %d, ages %v", used, n, ages)
				}
				if l.Idle(now) != (used == 0) {
					t.Fatalf("Idle() = %v with %d used", l.Idle(now), used)
				}
			},
		})
	})
}

// TestGrantsSurviveGrowth: the ring grows while its oldest grant is not its first.
func TestGrantsSurviveGrowth(t *testing.T) {
	t.Parallel()
	var l limit.Log
	for _, s := range []int{0, 1, 2, 3, 60, 60, 61} {
		if ok, _ := l.Take(time.Duration(s)*time.Second, 8); !ok {
			t.Fatalf("refused at %d s", s)
		}
	}
	want := []time.Duration{59 * time.Second, 58 * time.Second, time.Second, time.Second, 0}
	if got := l.Ages(nil, 61*time.Second); !slices.Equal(got, want) {
		t.Fatalf("ages %v, want %v", got, want)
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	var l limit.Log
	l.Take(0, 9) // is replaced
	l.Restore(time.Hour, []time.Duration{time.Second, -5, 59 * time.Second, time.Minute, 2 * time.Hour})
	if got, want := l.Ages(nil, time.Hour), []time.Duration{59 * time.Second, time.Second, 0}; !slices.Equal(got, want) {
		t.Fatalf("ages %v, want %v", got, want)
	}
	if ok, retry := l.Take(time.Hour, 3); ok || retry != time.Second {
		t.Fatalf("Take() = %v, %v", ok, retry)
	}
	l.Restore(time.Hour, nil)
	if !l.Idle(time.Hour) {
		t.Fatal("not empty")
	}
}

func BenchmarkTake(b *testing.B) {
	for _, n := range []int{10, 30, 120, 5000} {
		b.Run(fmt.Sprintf("granted, limit %d", n), func(b *testing.B) {
			var l limit.Log
			step, now := limit.Window/time.Duration(n), time.Duration(0)
			b.ReportAllocs()
			for b.Loop() {
				now += step
				if ok, _ := l.Take(now, n); !ok {
					b.Fatal("refused")
				}
			}
		})
	}
	b.Run("refused", func(b *testing.B) {
		var l limit.Log
		l.Take(0, 1)
		b.ReportAllocs()
		for b.Loop() {
			if ok, _ := l.Take(time.Second, 1); ok {
				b.Fatal("granted")
			}
		}
	})
}

// A returned grant is free again, and leaves the others as they are.
func TestReturn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var l, same limit.Log
		now := time.Duration(0)
		for range rapid.IntRange(0, 50).Draw(t, "before") {
			now += time.Duration(rapid.Int64Range(0, int64(5*time.Second)).Draw(t, "ns"))
			l.Take(now, 10)
			same.Take(now, 10)
		}
		if l.Used(now) < 10 {
			now += time.Millisecond
			if ok, _ := l.Take(now, 10); !ok || !l.Return(now) {
				t.Fatal("not granted, or not returned")
			}
		}
		if a, b := l.Ages(nil, now), same.Ages(nil, now); !slices.Equal(a, b) {
			t.Errorf("%v, want %v", a, b)
		}
		for range l.Used(now) {
			l.Return(now)
		}
		if l.Return(now) || l.Used(now) != 0 {
			t.Error("more returned than granted")
		}
	})
}
