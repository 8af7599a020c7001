package head_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/confab-chat/confab/services/edge/internal/listen/head"
)

const upgrade = "GET /ws?a=b HTTP/1.1\r\nHost: chat.example\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: confab.v1, confab.token.x.y.z\r\n" +
	"Sec-WebSocket-Protocol: other\r\nOrigin: https://app.example\r\nAuthorization: Bearer abc\r\n\r\n"

// scan feeds b in pieces of n bytes.
func scan(b []byte, n int) (int, error) {
	var s head.Scanner
	for i := 0; ; {
		i = min(i+n, len(b))
		end, err := s.Scan(b[:i])
		if end > 0 || err != nil || i == len(b) {
			return end, err
		}
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	lines := func(n int) string { return "GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", n) }
	for _, c := range []struct {
		name, in string
		want     int
		err      error
	}{
		{"whole", upgrade, len(upgrade), nil},
		{"with bytes behind it", upgrade + "\x81\x80", len(upgrade), nil},
		{"not complete", upgrade[:len(upgrade)-1], 0, nil},
		{"bare line feeds", "GET / HTTP/1.1\nHost: x\n\n", 24, nil},
		{"64 lines", lines(64) + "\r\n", len(lines(64)) + 2, nil},
		{"65 lines", lines(65), 0, head.ErrTooLarge},
		{"endless line", "GET / HTTP/1.1\r\nA: " + strings.Repeat("x", 32<<10), 0, head.ErrTooLarge},
		{"exactly the limit", exactly(head.MaxBytes), head.MaxBytes, nil},
		{"one over the limit", exactly(head.MaxBytes + 1), 0, head.ErrTooLarge},
		{"limit without an end", exactly(head.MaxBytes + 1)[:head.MaxBytes], 0, head.ErrTooLarge},
		{"empty", "", 0, nil},
		{"TLS", "\x16\x03\x01\x02\x00", 0, head.ErrMalformed},
		{"PROXY v2", "\r\n\r\n\x00\r\nQUIT\n", 0, head.ErrMalformed},
		{"blank line first", "\r\n" + upgrade, 0, head.ErrMalformed},
		{"lower case", "get / HTTP/1.1\r\n\r\n", 0, head.ErrMalformed},
	} {
		for _, n := range []int{1, 7, 1000, 1 << 20} {
			if got, err := scan([]byte(c.in), n); got != c.want || !errors.Is(err, c.err) {
				t.Errorf("%s by %d: %d, %v; want %d, %v", c.name, n, got, err, c.want, c.err)
			}
		}
	}
}

func exactly(n int) string {
	s := "GET / HTTP/1.1\r\nA: \r\n\r\n"
	return strings.Replace(s, "A: ", "A: "+strings.Repeat("x", n-len(s)), 1)
}

func TestParse(t *testing.T) {
	t.Parallel()
	r, err := head.Parse([]byte(upgrade))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%s %s %s %d.%d %s %s %s %s %s %d%d%d%d %v %v %v %s", r.Method, r.Path, r.Query, r.Major, r.Minor, r.Host, r.Key, r.Version,
		r.Origin, r.Authorization, r.Hosts, r.Keys, r.Origins, r.Authorizations, r.WebSocket, r.Upgrade, r.Body, r.Protocols)
	want := "GET /ws a=b 1.1 chat.example dGhlIHNhbXBsZSBub25jZQ== 13 https://app.example Bearer abc 1111 true true false [confab.v1 confab.token.x.y.z other]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestBody(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		"X: y": false, "Content-Length: 0": false, "Content-Length: 5": true, "content-length: 00": true,
		"Transfer-Encoding: chunked": true, "Content-Length: 0\r\nTransfer-Encoding: identity": true,
	} {
		r, err := head.Parse([]byte("GET / HTTP/1.1\r\n" + line + "\r\n\r\n"))
		if err != nil || r.Body != want {
			t.Errorf("%q: %v, %v", line, r.Body, err)
		}
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"GET\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/1\r\n\r\n", "GET / http/1.1\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n", "GET /a b HTTP/1.1\r\n\r\n",
		"GET /\x01 HTTP/1.1\r\n\r\n", "GET /\xff HTTP/1.1\r\n\r\n", "G@T / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1 \r\n\r\n", "GET / HTTP/x.1\r\n\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n\r\n",
		"GET / HTTP/1.1\r\nNoColon\r\n\r\n", "GET / HTTP/1.1\r\nA : b\r\n\r\n", "GET / HTTP/1.1\r\n: b\r\n\r\n", "GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
		"GET / HTTP/1.1\r\nA: b\x00\r\n\r\n", "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", "GET / HTTP/1.1\r\nOrigin: https://a\x07\r\n\r\n", "GET / HTTP/1.1\r\nA: \x7f\r\n\r\n",
	} {
		if _, err := head.Parse([]byte(in)); !errors.Is(err, head.ErrMalformed) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// FuzzParse looks for panics, and for requests that net/http, which gets them
// next, understands in another way.
func FuzzParse(f *testing.F) {
	f.Add([]byte(upgrade))
	f.Add([]byte("POST /x HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello"))
	f.Add([]byte("GET / HTTP/1.1\nHost: a\nHost: b\n\n"))
	f.Add([]byte("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		end, err := scan(in, len(in)+1)
		if cut, cutErr := scan(in, 3); cut != end || !errors.Is(cutErr, err) {
			t.Fatalf("by 3: %d, %v; at once: %d, %v", cut, cutErr, end, err)
		}
		if err != nil || end == 0 {
			return
		}
		r, err := head.Parse(in[:end])
		if err != nil {
			return
		}
		std, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(in[:end])))
		if err != nil {
			return // it may be stricter
		}
		if r.Method != "" && r.Method != std.Method {
			t.Fatalf("method %q, net/http %q", r.Method, std.Method)
		}
		if target, _, _ := strings.Cut(std.RequestURI, "?"); target != string(r.Path) {
			t.Fatalf("path %q, net/http %q", r.Path, target)
		}
		if got, want := r.Origins, len(std.Header["Origin"]); got != want {
			t.Fatalf("%d origins, net/http %d", got, want)
		}
		if std.ContentLength != 0 && !r.Body {
			t.Fatalf("net/http sees a body of %d bytes", std.ContentLength)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	in := []byte(upgrade)
	b.ReportAllocs()
	for b.Loop() {
		var s head.Scanner
		end, err := s.Scan(in)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := head.Parse(in[:end]); err != nil {
			b.Fatal(err)
		}
	}
}
