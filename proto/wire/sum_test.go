package wire_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/confab-chat/confab/proto/wire"
)

// A sum depends on the elements only, not on their order, and differs when one does.
func TestSum(t *testing.T) {
	t.Parallel()
	var one, two wire.Sum
	for _, i := range rand.Perm(1000) {
		one.Add(wire.MemberSum("room", fmt.Sprint("user-", i)))
	}
	for _, i := range rand.Perm(1001) {
		two.Add(wire.MemberSum("room", fmt.Sprint("user-", i)))
	}
	if one == two {
		t.Error("1 000 and 1 001 members have the same sum")
	}
	if two.Remove(wire.MemberSum("room", "user-1000")); one != two {
		t.Errorf("the same members have the sums %v and %v", one, two)
	}
	seen := make(map[wire.Sum]string)
	for room := range 300 {
		for user := range 300 {
			s := wire.MemberSum(fmt.Sprint(room), fmt.Sprint(user))
			if other, ok := seen[s]; ok {
				t.Fatalf("%d/%d and %s have the same sum", room, user, other)
			}
			seen[s] = fmt.Sprint(room, "/", user)
		}
	}
	if wire.MemberSum("ab", "c") == wire.MemberSum("a", "bc") || wire.UserSum("a", nil) == wire.UserSum("a", []string{"r"}) {
		t.Error("different elements have the same sum")
	}
}

// What each join and leave costs an edge and an owner.
func BenchmarkMemberSum(b *testing.B) {
	b.ReportAllocs()
	var s wire.Sum
	for b.Loop() {
		s.Add(wire.MemberSum("a-room-with-a-name", "user-000001"))
	}
}
