package event_test

import (
	"math"
	"strings"
	"testing"
	"testing/quick"

	"github.com/confab-chat/confab/proto/event"
)

func TestMessageID(t *testing.T) {
	t.Parallel()
	// Stored in logs: these never change.
	for want, got := range map[string]string{
		"16-4mof0v6kp14pa":            event.MessageID("general", 42, 1767323045678, "u-ada"),
		"1-b8c6p2s9gio37":             event.MessageID("", 1, 0, ""),
		"3w5e11264sgsf-eh60ecpcad4ab": event.MessageID("général/1", math.MaxUint64, math.MaxUint64, "u"),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if err := quick.Check(func(room string, seq, at uint64, user string) bool {
		seq = max(seq, 1)
		id := event.MessageID(room, seq, at, user)
		got, ok := event.SeqOf(id)
		return ok && got == seq && event.ValidClientID(id)
	}, nil); err != nil {
		t.Error(err)
	}
}

// Everything that makes a message this one changes its id, and fields do not run into each other.
func TestMessageIDsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	n := 0
	for _, room := range []string{"", "a", "ab", "b", "u"} {
		for _, user := range []string{"", "u", "bu", "bcu", "v"} {
			for seq := uint64(1); seq <= 40; seq++ {
				for _, at := range []uint64{1, 2, 256, 1 << 40} {
					_, hash, _ := strings.Cut(event.MessageID(room, seq, at, user), "-")
					seen[hash] = true
					n++
				}
			}
		}
	}
	if len(seen) != n {
		t.Errorf("%d hashes for %d messages", len(seen), n)
	}
}

func TestSeqOf(t *testing.T) {
	t.Parallel()
	const hash = "0000000000000"
	for id, want := range map[string]uint64{"1-" + hash: 1, "16-" + hash: 42, "zz-fvvvvvvvvvvvv": 1295, "3w5e11264sgsf-" + hash: math.MaxUint64} {
		if got, ok := event.SeqOf(id); !ok || got != want {
			t.Errorf("%q: got %d, %v", id, got, ok)
		}
	}
	for _, id := range []string{
		"", "-", "1", "1-", "-" + hash, "0-" + hash, "01-" + hash, "+1-" + hash, "A-" + hash, "1_0-" + hash, " 1-" + hash, "1-" + hash + "0",
		"1-000000000000", "1-w000000000000", "1-g000000000000", "1-000000000000A", "1-00000-0000000", "3w5e11264sgsg-" + hash, "é-" + hash, "1-00000000000é",
	} {
		if got, ok := event.SeqOf(id); ok {
			t.Errorf("%q: accepted as %d", id, got)
		}
	}
}

func TestValidIDs(t *testing.T) {
	t.Parallel()
	sixtyFour, limit := strings.Repeat("a", 64), strings.Repeat("é", 64)
	for name, c := range map[string]struct {
		valid func(string) bool
		good  []string
		bad   []string
	}{
		"room": {
			event.ValidRoomID,
			[]string{"a", "general", "a.b", "team:42/x_y-Z", "0", "...", sixtyFour},
			[]string{"", ">", "*", "a b", "a\r\nb", "$SYS", sixtyFour + "a", "gеneral" /* Cyrillic e */, "é", "a\x00", "a,b", "a@b", "a`", "a{", "a["},
		},
		"user": {
			event.ValidUserID,
			[]string{"a", "auth0|42", "ada@example.org", "用户", "<b>", limit},
			[]string{"", " ", "a b", "a\n", "a\x00", "\xff", "a\u200b", "a\u202eb", "\u00a0", limit + "a"},
		},
		"client message": {
			event.ValidClientID,
			[]string{"a", "0b7c1c9e-5b0a-4a52", "!~", sixtyFour},
			[]string{"", " ", "a b", "é", "a\x7f", "a\n", sixtyFour + "a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, id := range c.good {
				if !c.valid(id) {
					t.Errorf("%q is refused", id)
				}
			}
			for _, id := range c.bad {
				if c.valid(id) {
					t.Errorf("%q is accepted", id)
				}
			}
		})
	}
}
