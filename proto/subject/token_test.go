package subject_test

import (
	"errors"
	"hash/fnv"
	"strconv"
	"strings"
	"testing"
	"testing/quick"

	"github.com/confab-chat/confab/proto/subject"
)

func TestToken(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"general":               "rgeneral",
		"A-z_09":                "rA-z_09",
		"b":                     "rb",
		"rgeneral":              "rrgeneral",
		"a.b":                   "bYS5i",
		">":                     "bPg",
		"*":                     "bKg",
		"a b":                   "bYSBi",
		"\r\n":                  "bDQo",
		"$SYS":                  "bJFNZUw",
		"team:42/x":             "bdGVhbTo0Mi94",
		"é":                     "bw6k",
		strings.Repeat("a", 64): "r" + strings.Repeat("a", 64),
		strings.Repeat("a", 66): "b" + strings.Repeat("YWFh", 22),
		"\xff\xfe":              "b__4",
	} {
		if got := subject.Token(id); got != want {
			t.Errorf("%q: got %s, want %s", id, got, want)
		}
		if got, err := subject.ID(want); err != nil || got != id {
			t.Errorf("%s: got %q, %v", want, got, err)
		}
	}
}

func TestIDRefuses(t *testing.T) {
	t.Parallel()
	for _, token := range []string{
		"", "r", "b", "general", "R" + "general", "xabc",
		"ra.b", "r>", "r*", "ra b", "r" + strings.Repeat("a", 65), // plain ids only
		"bZ2VuZXJhbA",                              // base64 of "general", which is plain
		"bYS5i=", "bYS5i\n", "bYS5j+", "bPh", "b*", // not base64url, padding, or stray bits
	} {
		if id, err := subject.ID(token); !errors.Is(err, subject.ErrToken) {
			t.Errorf("%q: got %q, %v", token, id, err)
		}
	}
}

// checkToken: a token is one harmless token of a subject, and of one id only.
func checkToken(t *testing.T, id string) {
	t.Helper()
	token := subject.Token(id)
	if strings.ContainsFunc(token, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_')
	}) {
		t.Fatalf("%q: token %q", id, token)
	}
	if back, err := subject.ID(token); id != "" && (err != nil || back != id) {
		t.Fatalf("%q: its token %s is that of %q, %v", id, token, back, err)
	}
	// What NATS's partition(64, ...) computes: fnv32a over the token.
	h := fnv.New32a()
	h.Write([]byte(token))
	if got, want := subject.Shard(id), int(h.Sum32()%subject.Shards); got != want || subject.ShardOf(token) != want {
		t.Fatalf("%q: shard %d, want %d", id, got, want)
	}
	// Read as a token, it names at most the id whose token it is.
	if named, err := subject.ID(id); err == nil && subject.Token(named) != id {
		t.Fatalf("%q is read as a token of %q, whose token is %q", id, named, subject.Token(named))
	}
}

func TestTokenProperties(t *testing.T) {
	t.Parallel()
	if err := quick.Check(func(id string, raw []byte) bool {
		checkToken(t, id)
		checkToken(t, string(raw))
		return !t.Failed()
	}, &quick.Config{MaxCount: 2000}); err != nil {
		t.Error(err)
	}
}

// Stored logs and running releases depend on these.
func TestShardsArePinned(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]int{"general": 59, "a.b": 27, "team:42/x": 4, "u-ada": 41, "1": 44} {
		if got := subject.Shard(id); got != want {
			t.Errorf("%q: shard %d, want %d", id, got, want)
		}
	}
}

func TestShardsAreEven(t *testing.T) {
	t.Parallel()
	var count [subject.Shards]int
	const each = 1000
	for i := range each * subject.Shards {
		count[subject.Shard("room-"+string(rune('a'+i%26))+strings.Repeat("x", i/26%7)+strconv.Itoa(i))]++
	}
	for shard, n := range count {
		if n < each*8/10 || n > each*12/10 {
			t.Errorf("shard %d has %d of %d rooms", shard, n, each*subject.Shards)
		}
	}
}

func FuzzToken(f *testing.F) {
	for _, id := range []string{"", "general", "a.b", "bYS5i", "r", ">", "chat.v1.>"} {
		f.Add(id)
	}
	f.Fuzz(checkToken)
}

func BenchmarkShard(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		subject.Shard("general")
	}
}
