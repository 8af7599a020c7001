package inline_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/services/edge/internal/rooms/inline"
)

// TestList: whatever is added and removed, the list has what a slice would have.
func TestList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var l inline.List[int]
		var want []int
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if got := l.Slice(); l.Len() != len(want) || !slices.Equal(got, want) {
					t.Fatalf("%d elements: %v, want %v", l.Len(), got, want)
				}
				if got := l.Index(7); got != slices.Index(want, 7) {
					t.Fatalf("7 is at %d of %v", got, want)
				}
			},
			"add": func(t *rapid.T) {
				v := rapid.IntRange(1, 20).Draw(t, "v")
				l.Add(v)
				want = append(want, v)
			},
			"change": func(t *rapid.T) {
				if len(want) > 0 {
					i := rapid.IntRange(0, len(want)-1).Draw(t, "i")
					*l.At(i)++
					want[i]++
				}
			},
			"remove": func(t *rapid.T) {
				if len(want) > 0 {
					i, last := rapid.IntRange(0, len(want)-1).Draw(t, "i"), len(want)-1
					l.Remove(i)
					want[i] = want[last]
					want = want[:last]
				}
			},
		})
	})
}

// TestOneCostsNothing: a list of one element, coming and going, allocates nothing.
func TestOneCostsNothing(t *testing.T) {
	var l inline.List[string]
	if n := testing.AllocsPerRun(100, func() { l.Add("room"); l.Remove(0) }); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
