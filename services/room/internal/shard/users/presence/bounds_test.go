package presence

import (
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/wire"
)

// TestOfflineUsersGoWithoutExpire: a shard in which no grace ever runs forgets too.
func TestOfflineUsersGoWithoutExpire(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s, e := New(ScopeAll), Edge{ID: "A"}
	for _, u := range []string{"u", "v", "w"} {
		s.Up(now, e, wire.User{ID: u}, nil)
		s.Down(now, e, u, 0)
		now = now.Add(PastAge)
	}
	if n := len(s.past.users); n != 1 {
		t.Fatalf("%d remembered", n)
	}
}

// TestFlappingIsBounded: a user whose connections come and go within the grace
// costs no more than maxHolders.
func TestFlappingIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s, e, u := New(ScopeRooms), Edge{ID: "A"}, wire.User{ID: "u"}
	s.Up(now, Edge{ID: "B"}, u, []string{"stays"})
	for range 1000 {
		s.Up(now, e, u, []string{"room"})
		s.Down(now, e, u.ID, 30*time.Second)
	}
	if n := len(s.users[u.ID].holders); n > maxHolders {
		t.Fatalf("%d holders", n)
	}
	if events := s.Down(now, Edge{ID: "B"}, u.ID, 0); events != nil || !s.users[u.ID].Queued() {
		t.Fatalf("%v", events)
	}
}
