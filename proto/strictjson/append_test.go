package strictjson_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/quick"

	"github.com/confab-chat/confab/proto/strictjson"
)

// encoded is s by encoding/json, without escapes for HTML.
func encoded(tb testing.TB, s string) string {
	tb.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func checkAppend(tb testing.TB, s string) {
	tb.Helper()
	if got, want := string(strictjson.AppendString([]byte("x"), s)), "x"+encoded(tb, s); got != want {
		tb.Errorf("%q: got %s, want %s", s, got, want)
	}
	var r strictjson.Reader
	r.Reset(strictjson.AppendString(nil, s))
	if got := r.Text(); got != string([]rune(s)) || r.End() != nil {
		tb.Errorf("%q is read as %q, %v", s, got, r.Err())
	}
}

func TestAppendString(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "plain", "exactly8", "longer than eight bytes", "seven b\"", "\"quoted\" \\ / \b\f\n\r\t\x00\x1f\x7f",
		"<script>alert('x') && \"y\"</script>", "&lt;", "日本語", "a long text and then é and more after it", "\u2028\u2029\u2027",
		"\xff", "abcdefgh\xc3", "\xed\xa0\x80", "\ufffd", "😀<😀>",
	} {
		checkAppend(t, s)
	}
	if err := quick.Check(func(s string, b []byte) bool {
		checkAppend(t, s)
		checkAppend(t, string(b))
		return !t.Failed()
	}, &quick.Config{MaxCount: 2000}); err != nil {
		t.Error(err)
	}
}

func FuzzAppendString(f *testing.F) {
	f.Add("<a href=\"x\">'&'</a>\u2028\xff")
	f.Fuzz(func(t *testing.T, s string) { checkAppend(t, s) })
}

func BenchmarkAppendString(b *testing.B) {
	for name, s := range map[string]string{
		"ascii": strings.Repeat("Hello everybody, how are you? ", 4),
		"utf8":  strings.Repeat("Привет всем, как дела? ", 4),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(s)))
			dst := make([]byte, 0, 1024)
			for b.Loop() {
				dst = strictjson.AppendString(dst[:0], s)
			}
		})
	}
}
