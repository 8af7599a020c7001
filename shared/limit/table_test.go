package limit_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/limit"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(s int) time.Time { return epoch.Add(time.Duration(s) * time.Second) }

func key(i int) limit.Key {
	return limit.Key{User: fmt.Sprintf("user-%06d", i), Action: wire.ActionMessage}
}

func TestKeysAreApart(t *testing.T) {
	t.Parallel()
	table := limit.NewTable(10)
	for _, k := range []limit.Key{{"u", wire.ActionMessage}, {"u", wire.ActionJoin}, {"v", wire.ActionMessage}} {
		if ok, _ := table.Take(at(0), k, 1); !ok {
			t.Errorf("%v is refused", k)
		}
		if ok, retry := table.Take(at(1), k, 1); ok || retry != 59*time.Second {
			t.Errorf("%v: %v, retry after %v", k, ok, retry)
		}
	}
	if table.Len() != 3 {
		t.Errorf("%d keys", table.Len())
	}
	if ok, _ := table.Take(at(1), limit.Key{User: "w"}, 0); !ok || table.Len() != 3 {
		t.Errorf("unlimited: %v, %d keys", ok, table.Len())
	}
}

func TestIdleKeysAreSwept(t *testing.T) {
	t.Parallel()
	table := limit.NewTable(1000)
	for i := range 100 {
		table.Take(at(0), key(i), 9)
	}
	if n := table.Sweep(at(59), 1000); n != 0 || table.Len() != 100 {
		t.Fatalf("%d dropped too early", n)
	}
	if n := table.Sweep(at(60), 30); n != 30 || table.Len() != 70 {
		t.Fatalf("%d dropped of 30 looked at", n)
	}
	for i := range 20 { // each newcomer pays for two
		table.Take(at(60), key(1000+i), 9)
	}
	left := table.Len()
	if left > 60 {
		t.Fatalf("%d keys", left)
	}
	if n := table.Sweep(at(60), 1000); n != left-20 || table.Len() != 20 || table.Evicted() != 0 {
		t.Fatalf("%d dropped, %d left", n, table.Len())
	}
	if n := table.Sweep(at(120), 1000); n != 20 || table.Len() != 0 {
		t.Fatalf("%d dropped, %d left", n, table.Len())
	}
	table.Sweep(at(120), 1000)
}

func TestAFullTable(t *testing.T) {
	t.Parallel()
	const size = 64
	table := limit.NewTable(size)
	heavy := limit.Key{User: "heavy"}
	for range 9 {
		table.Take(at(0), heavy, 9)
	}
	for i := range 10 * size {
		if ok, _ := table.Take(at(1), key(i), 9); !ok || table.Len() > size {
			t.Fatalf("key %d: %v, %d keys", i, ok, table.Len())
		}
	}
	if want := uint64(10*size - size + 1); table.Evicted() != want {
		t.Fatalf("%d evicted, want %d", table.Evicted(), want)
	}
	if ok, _ := table.Take(at(2), heavy, 9); ok {
		t.Fatal("who had used most was forgotten")
	}
	for i := range size { // of idle keys nothing is lost
		table.Take(at(99), key(20*size+i), 9)
	}
	if want := uint64(10*size - size + 1); table.Evicted() != want || table.Len() > size {
		t.Fatalf("%d evicted, want %d", table.Evicted(), want)
	}
}

// TestIdleKeysGoUncounted: in a full table whose sweep meets keys in use first,
// an idle one gives way, and nothing is lost.
func TestIdleKeysGoUncounted(t *testing.T) {
	t.Parallel()
	for inUse := range 39 { // wherever the walk stands, some of these meet it
		table := limit.NewTable(40)
		for i := range 40 {
			table.Take(at(0), key(i), 9)
		}
		for i := range 2 {
			table.Take(at(60), key(inUse+i), 9)
		}
		table.Take(at(60), key(99), 9)
		if table.Evicted() != 0 || table.Len() > 40 {
			t.Fatalf("%d in use: %d evicted, %d keys", inUse, table.Evicted(), table.Len())
		}
	}
}

func TestHandingOver(t *testing.T) {
	t.Parallel()
	a, b := limit.NewTable(10), limit.NewTable(10)
	a.Take(at(0), key(1), 2)
	a.Take(at(10), key(1), 2)
	ages := a.Snapshot(nil, at(20), key(1))
	if !slices.Equal(ages, []time.Duration{20 * time.Second, 10 * time.Second}) {
		t.Fatalf("ages %v", ages)
	}
	a.Drop(key(1))
	a.Drop(key(2))
	if a.Len() != 0 || a.Snapshot(nil, at(20), key(1)) != nil {
		t.Fatal("not dropped")
	}
	b.Restore(at(5000), key(1), ages)
	if ok, retry := b.Take(at(5001), key(1), 2); ok || retry != 39*time.Second {
		t.Fatalf("%v, retry after %v", ok, retry)
	}
	b.Restore(at(5001), key(1), nil)
	if ok, _ := b.Take(at(5001), key(1), 2); !ok {
		t.Fatal("not replaced")
	}
}

// TestTableIsItsModel: with room for all, sweeping and dropping change no answer.
func TestTableIsItsModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const n = 3
		table := limit.NewTable(100)
		grants := map[limit.Key][]time.Time{}
		now := epoch
		someone := rapid.Map(rapid.IntRange(0, 9), key)
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				k, within := someone.Draw(t, "key"), 0
				for _, g := range grants[k] {
					if now.Sub(g) < limit.Window {
						within++
					}
				}
				ok, _ := table.Take(now, k, n)
				if ok != (within < n) {
					t.Fatalf("%v: %v with %d in the window", k, ok, within)
				}
				if ok {
					grants[k] = append(grants[k], now)
				}
			},
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 40_000).Draw(t, "ms")) * time.Millisecond)
			},
			"sweep": func(t *rapid.T) {
				table.Sweep(now, rapid.IntRange(0, 20).Draw(t, "n"))
			},
			"hand over": func(t *rapid.T) {
				k := someone.Draw(t, "key")
				ages := table.Snapshot(nil, now, k)
				table.Drop(k)
				table.Restore(now, k, ages)
			},
		})
	})
}

func BenchmarkTable(b *testing.B) {
	for _, n := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprintf("%d keys", n), func(b *testing.B) {
			table := limit.NewTable(n)
			keys := make([]limit.Key, n)
			for i := range keys {
				keys[i] = key(i)
				table.Take(epoch, keys[i], 30)
			}
			now := epoch
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(10 * time.Microsecond)
				table.Take(now, keys[rand.IntN(n)], 30)
			}
		})
	}
}

// BenchmarkNewKeys is a stream of users who ask once and go.
func BenchmarkNewKeys(b *testing.B) {
	table := limit.NewTable(1 << 20)
	keys := make([]limit.Key, 1<<20)
	for i := range keys {
		keys[i] = key(i)
	}
	now := epoch
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Millisecond)
		table.Take(now, keys[i%len(keys)], 30)
	}
	b.ReportMetric(float64(table.Len()), "keys")
}

// BenchmarkMemory reports what a key costs beyond its string.
func BenchmarkMemory(b *testing.B) {
	keys := make([]limit.Key, 100_000)
	for i := range keys {
		keys[i] = key(i)
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for _, used := range []int{1, 10, 30} {
		b.Run(fmt.Sprintf("%d of 30 used", used), func(b *testing.B) {
			var table *limit.Table
			before := heap()
			for b.Loop() {
				table = limit.NewTable(len(keys))
				for _, k := range keys {
					for range used {
						table.Take(epoch, k, 30)
					}
				}
			}
			b.ReportMetric(float64(heap()-before)/float64(len(keys)), "B/key")
			runtime.KeepAlive(table)
		})
	}
}
