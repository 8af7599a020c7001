package stamp_test

import (
	"math"
	"testing"

	"github.com/confab-chat/confab/tools/bench/internal/stamp"
)

func TestRoundTrip(t *testing.T) {
	for _, due := range []int64{0, 1, stamp.Now(), math.MaxInt64} {
		for _, n := range []uint32{0, 1, 0xdeadbeef} {
			content := stamp.Append(nil, due, n, 128)
			if len(content) != 128 {
				t.Errorf("%d bytes, want 128", len(content))
			}
			frame := append(append([]byte(`{"event":"receiveMessage","data":{"content":"`), content...), `"}}`...)
			gotDue, gotN, ok := stamp.Find(frame)
			if gotDue != due || gotN != n || !ok {
				t.Errorf("%d %d: found %d %d %v", due, n, gotDue, gotN, ok)
			}
		}
	}
}

// A content is never shorter than its stamp.
func TestShortContent(t *testing.T) {
	if got := stamp.Append(nil, 1, 1, 0); len(got) != stamp.Size {
		t.Errorf("%d bytes, want %d", len(got), stamp.Size)
	}
}

func TestFindNothing(t *testing.T) {
	for _, b := range []string{"", "@@", "@@0123", "no stamp here, only words of some length", "@@0123456789abcdeX01234567", "@@0123456789abcdef0123456."} {
		if _, _, ok := stamp.Find([]byte(b)); ok {
			t.Errorf("found a stamp in %q", b)
		}
	}
}

func TestNowDoesNotGoBack(t *testing.T) {
	for last, i := stamp.Now(), 0; i < 1000; i++ {
		now := stamp.Now()
		if now < last {
			t.Fatalf("%d after %d", now, last)
		}
		last = now
	}
}

func BenchmarkFind(b *testing.B) {
	frame := append([]byte(`{"event":"receiveMessage","data":{"id":"16-4mof0v6kp14pa","content":"`), stamp.Append(nil, stamp.Now(), 7, 128)...)
	b.ReportAllocs()
	for b.Loop() {
		stamp.Find(frame)
	}
}
