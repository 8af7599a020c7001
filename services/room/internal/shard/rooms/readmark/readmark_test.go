package readmark_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/readmark"
)

// scene is a room, its members, and what it has broadcast.
type scene struct {
	readmark.Room
	members map[string]bool
	shown   map[string]uint64 // the last seq that was broadcast of each user since they joined
}

// do carries out one step: "+u" u joins, "-u" u leaves, "u5" u reads up to 5, "." broadcasts.
// It returns how far u has read, or what was broadcast.
func (s *scene) do(step string) string {
	user := strings.TrimLeft(step, "+-")[:1]
	switch {
	case step == ".":
		var said []string
		for _, m := range s.TakeDue(func(u string) bool { return s.members[u] }) {
			said = append(said, fmt.Sprint(m.User.ID, m.Seq))
			s.shown[m.User.ID] = m.Seq
		}
		slices.Sort(said)
		return strings.Join(said, " ")
	case step[0] == '+':
		if !s.members[user] {
			s.members[user], s.shown[user] = true, 0
		}
	case step[0] == '-':
		delete(s.members, user)
		delete(s.shown, user)
		s.Forget(user)
	default:
		var seq uint64
		fmt.Sscan(step[1:], &seq)
		return fmt.Sprint(s.Advance(readmark.Mark{User: wire.User{ID: user}, Seq: seq}).Seq)
	}
	return ""
}

func newScene() *scene { return &scene{members: map[string]bool{}, shown: map[string]uint64{}} }

func TestMarks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, steps, want string }{
		{"a late device before the broadcast", "+a a5 a2 .", "5 5 a5"},
		{"a late device after the broadcast", "+a a5 . a2 .", "5 a5 5"},
		{"only the last one is broadcast", "+a a1 a3 a4 .", "1 3 4 a4"},
		{"a repeat is broadcast again", "+a a5 . a5 .", "5 a5 5 a5"},
		{"users are independent", "+a +b a5 b2 . b3 .", "5 2 a5 b2 3 b3"},
		{"forgotten after the departure", "+a a5 . -a +a a2 .", "5 a5 2 a2"},
		{"broadcast although its user has left", "+a a5 -a . .", "5 a5"},
		{"of a user who is not a member", "a5 a2 . a2 .", "5 5 a5 2 a2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScene()
			var got []string
			for step := range strings.FieldsSeq(c.steps) {
				if said := s.do(step); said != "" {
					got = append(got, said)
				}
			}
			if got := strings.Join(got, " "); got != c.want {
				t.Errorf("%s: %s, want %s", c.steps, got, c.want)
			}
		})
	}
}

// What a member is answered, and what others are shown of them, never goes back while they are
// a member; the furthest mark is shown; and after a broadcast only members' marks are kept.
func TestMarksNeverGoBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := newScene()
		furthest := map[string]uint64{} // of members, since they joined
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			user := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "user")
			switch step := rapid.SampledFrom([]string{"+", "-", ".", "read", "read"}).Draw(t, "step"); step {
			case ".":
				before := map[string]uint64{}
				for u := range s.members {
					before[u] = s.shown[u]
				}
				s.do(".")
				for u := range s.members {
					if s.shown[u] < before[u] || s.shown[u] < furthest[u] {
						t.Fatalf("shown %s%d after %d, of %d", u, s.shown[u], before[u], furthest[u])
					}
				}
				if s.Due() || s.Len() > len(s.members) {
					t.Fatalf("due %v, %d marks of %d members", s.Due(), s.Len(), len(s.members))
				}
			case "read":
				seq := rapid.Uint64Range(1, 9).Draw(t, "seq")
				var answer uint64
				fmt.Sscan(s.do(fmt.Sprint(user, seq)), &answer)
				if answer < max(seq, furthest[user]) {
					t.Fatalf("%s read %d, then %d: answered %d", user, furthest[user], seq, answer)
				}
				if s.members[user] {
					furthest[user] = answer
				}
			default:
				s.do(step + user)
				if step == "-" {
					delete(furthest, user)
				}
			}
		}
	})
}
