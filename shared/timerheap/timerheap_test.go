package timerheap_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/shared/timerheap"
)

type item struct {
	timerheap.Place
	id int
}

// TestQueue compares the heap with a map that is searched.
func TestQueue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var q timerheap.Queue[*item]
		items := make([]*item, 40)
		for i := range items {
			items[i] = &item{id: i}
		}
		want := map[*item]time.Duration{}
		earliest := func() time.Duration {
			first := timerheap.Never
			for _, at := range want {
				first = min(first, at)
			}
			return first
		}
		one := rapid.SampledFrom(items)
		at := rapid.Custom(func(t *rapid.T) time.Duration { return time.Duration(rapid.IntRange(-5, 30).Draw(t, "at")) })
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				next, ok := q.Next()
				if ok != (len(want) > 0) || ok && next != earliest() || q.Len() != len(want) {
					t.Fatalf("Next() = %v, %v of %d; want %v of %d", next, ok, q.Len(), earliest(), len(want))
				}
				for _, it := range items {
					due, queued := want[it]
					if it.Queued() != queued || queued && it.Due() != due {
						t.Fatalf("item %d: %v, %v; want %v, %v", it.id, it.Due(), it.Queued(), due, queued)
					}
				}
			},
			"set": func(t *rapid.T) {
				it, due := one.Draw(t, "item"), at.Draw(t, "due")
				q.Set(it, due)
				want[it] = due
			},
			"remove": func(t *rapid.T) {
				it := one.Draw(t, "item")
				q.Remove(it)
				delete(want, it)
			},
			"pop": func(t *rapid.T) {
				now, first := at.Draw(t, "now"), earliest()
				it, ok := q.Pop(now)
				if ok != (len(want) > 0 && first <= now) || ok && want[it] != first {
					t.Fatalf("Pop(%v) = %v, %v; the earliest is %v", now, it, ok, first)
				}
				delete(want, it)
			},
		})
	})
}

func TestClock(t *testing.T) {
	t.Parallel()
	var c timerheap.Clock
	origin := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for _, offset := range []time.Duration{0, time.Second, -time.Hour} {
		if got := c.At(origin.Add(offset)); got != offset {
			t.Errorf("At = %v, want %v", got, offset)
		}
		if got := c.Time(offset); !got.Equal(origin.Add(offset)) {
			t.Errorf("Time = %v, want %v", got, origin.Add(offset))
		}
	}
}
