package membership

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/wire"
)

// TestRosterShrinks: the memory of a large room is released when its members have left.
func TestRosterShrinks(t *testing.T) {
	t.Parallel()
	const crowd, stay = 20_000, 40
	var s roster
	ids := make([]string, crowd)
	for i := range ids {
		ids[i] = fmt.Sprintf("u%05d", i)
	}
	rand.Shuffle(crowd, func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	for _, id := range ids {
		s.insert(&member{user: wire.User{ID: id}})
	}
	for _, id := range ids[stay:] {
		s.remove(id)
	}
	places, ordered, last := 0, true, ""
	for _, chunk := range s.chunks {
		places += cap(chunk)
		for _, m := range chunk {
			ordered, last = ordered && last < m.user.ID, m.user.ID
		}
	}
	if s.len() != stay || !ordered || len(s.chunks) > 2 || places > 6*stay {
		t.Fatalf("%d members in %d chunks with %d places, ordered: %v", s.len(), len(s.chunks), places, ordered)
	}
}

// TestHoldersThatEndedAreForgotten: a member keeps no trace of every edge they came through.
func TestHoldersThatEndedAreForgotten(t *testing.T) {
	t.Parallel()
	var r Room
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	u := wire.User{ID: "u"}
	var edges []Edge
	for i := range 100 {
		edges = append(edges, Edge{ID: fmt.Sprint(i)})
		r.Join(now, edges[i], u)
	}
	for _, e := range edges[1:] {
		now = now.Add(time.Minute)
		r.Leave(now, e, u.ID, time.Second)
	}
	if m := r.members.find(u.ID); len(m.more) > 1 || r.graces.Len() != 0 {
		t.Fatalf("%d holders besides the live one", len(m.more))
	}
}
