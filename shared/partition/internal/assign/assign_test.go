package assign_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/shared/partition/internal/assign"
)

const shards = 64

func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("room-%d", i)
	}
	return out
}

// counts returns how many shards each live instance owns, and fails on a shard whose owner is not live.
func counts(tb rapid.TB, live, owners []string) map[string]int {
	tb.Helper()
	n := make(map[string]int, len(live))
	for _, name := range live {
		n[name] = 0
	}
	for s, o := range owners {
		if _, ok := n[o]; !ok {
			tb.Fatalf("shard %d is given to %q, which is not live", s, o)
		}
		n[o]++
	}
	return n
}

func checkSpread(tb rapid.TB, live, owners []string) {
	tb.Helper()
	lo, hi := len(owners), 0
	for _, c := range counts(tb, live, owners) {
		lo, hi = min(lo, c), max(hi, c)
	}
	if hi-lo > 1 {
		tb.Fatalf("spread %d..%d over %d instances", lo, hi, len(live))
	}
}

// moved counts the shards that leave a live holder.
func moved(live, held, owners []string) int {
	n := 0
	for s, h := range held {
		if slices.Contains(live, h) && owners[s] != h {
			n++
		}
	}
	return n
}

func TestOwnersTable(t *testing.T) {
	t.Parallel()
	// Pinned: instances of different versions must agree on the weights.
	got := assign.Owners([]string{"a", "b", "c"}, make([]string, 8))
	want := []string{"b", "a", "a", "b", "c", "a", "c", "b"}
	if !slices.Equal(got, want) {
		t.Errorf("Owners(a b c, 8 free) = %v, want %v", got, want)
	}
	for _, o := range assign.Owners(nil, []string{"gone", ""}) {
		if o != "" {
			t.Errorf("nobody is live, yet a shard is given to %q", o)
		}
	}
	got = assign.Owners([]string{"a"}, []string{"", "gone", "a"})
	if want := []string{"a", "a", "a"}; !slices.Equal(got, want) {
		t.Errorf("one live instance gets %v, want %v", got, want)
	}
}

func TestJoinAndLeaveMoveTheMinimum(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 2*shards; n++ {
		live := names(n)
		held := assign.Owners(live, make([]string, shards))
		checkSpread(t, live, held)

		more := append(slices.Clone(live), "new")
		owners := assign.Owners(more, held)
		checkSpread(t, more, owners)
		if got, want := moved(more, held, owners), shards/(n+1); got != want {
			t.Errorf("%d instances, one joins: %d shards move, want %d", n, got, want)
		}
		for s, h := range held {
			if owners[s] != h && owners[s] != "new" {
				t.Errorf("%d instances, one joins: shard %d moves %s -> %s", n, s, h, owners[s])
			}
		}
		if n == 1 {
			continue
		}
		fewer := live[1:]
		owners = assign.Owners(fewer, held)
		checkSpread(t, fewer, owners)
		if got := moved(fewer, held, owners); got != 0 {
			t.Errorf("%d instances, one leaves: %d shards leave a live holder", n, got)
		}
	}
}

// anyState draws live instances and holders, some of them dead.
func anyState(t *rapid.T) (live, held []string) {
	all := names(rapid.IntRange(1, 12).Draw(t, "instances"))
	live = all[:rapid.IntRange(1, len(all)).Draw(t, "live")]
	held = make([]string, rapid.IntRange(1, 80).Draw(t, "shards"))
	for s := range held {
		if i := rapid.IntRange(-1, len(all)-1).Draw(t, "holder"); i >= 0 {
			held[s] = all[i]
		}
	}
	return live, held
}

func TestOwnersProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		live, held := anyState(t)
		owners := assign.Owners(live, held)
		checkSpread(t, live, owners)

		shuffled := rapid.Permutation(live).Draw(t, "order")
		if again := assign.Owners(shuffled, held); !slices.Equal(again, owners) {
			t.Fatalf("the order of live matters: %v, %v", owners, again)
		}
		if again := assign.Owners(live, owners); !slices.Equal(again, owners) {
			t.Fatalf("a finished plan is not stable: %v, %v", owners, again)
		}
		if got, want := moved(live, held, owners), fewestMoves(live, held); got != want {
			t.Fatalf("%d shards leave a live holder, %d would do", got, want)
		}
	})
}

// fewestMoves is the lower bound for quotas of floor and floor+1.
func fewestMoves(live, held []string) int {
	floor, extra := len(held)/len(live), len(held)%len(live)
	surplus := 0
	above := 0
	for _, name := range live {
		c := 0
		for _, h := range held {
			if h == name {
				c++
			}
		}
		if c > floor {
			surplus += c - floor
			above++
		}
	}
	return surplus - min(above, extra)
}

// A plan that is followed step by step, in any order, stays the same plan:
// instances see each other's steps one at a time.
func TestPlanIsStableWhileItIsFollowed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		live, held := anyState(t)
		owners := assign.Owners(live, held)
		now := slices.Clone(held)
		for _, s := range rapid.Permutation(indexes(len(held))).Draw(t, "steps") {
			if now[s] == owners[s] {
				continue
			}
			now[s] = "" // returned, or expired
			if again := assign.Owners(live, now); !slices.Equal(again, owners) {
				t.Fatalf("shard %d given back: %v becomes %v", s, owners, again)
			}
			if rapid.Bool().Draw(t, "claimed") {
				now[s] = owners[s]
				if again := assign.Owners(live, now); !slices.Equal(again, owners) {
					t.Fatalf("shard %d claimed: %v becomes %v", s, owners, again)
				}
			}
		}
	})
}

func indexes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func BenchmarkOwners(b *testing.B) {
	for _, n := range []int{1, 4, 24} {
		live := names(n)
		free := make([]string, shards)
		settled := assign.Owners(live, free)
		b.Run(fmt.Sprintf("settled/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				assign.Owners(live, settled)
			}
		})
		b.Run(fmt.Sprintf("free/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				assign.Owners(live, free)
			}
		})
	}
}
