package relay

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/proto/wire"
)

// TestUserTable: as users come and go, the table has what a map would have, and never
// more slots than it may.
func TestUserTable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var table userTable
		want := map[string]*user{}
		pick := func(t *rapid.T) string { return fmt.Sprint("user", rapid.IntRange(0, 60).Draw(t, "user")) }
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				for i := range 61 {
					if id := fmt.Sprint("user", i); table.find(id) != want[id] {
						t.Fatalf("%s: %v, want %v", id, table.find(id), want[id])
					}
				}
				if list := table.list(); len(list) != len(want) || table.n != len(want) {
					t.Fatalf("%d users, %d counted, want %d", len(list), table.n, len(want))
				}
				if n := len(table.slots); 4*len(want) > 3*n || n > minSlots && 8*len(want) < n {
					t.Fatalf("%d slots for %d users", n, len(want))
				}
			},
			"come": func(t *rapid.T) {
				if id := pick(t); want[id] == nil {
					want[id] = &user{user: &wire.User{ID: id}}
					table.add(want[id])
				}
			},
			"go": func(t *rapid.T) {
				if id := pick(t); want[id] != nil {
					table.remove(want[id])
					delete(want, id)
				}
			},
		})
	})
}
