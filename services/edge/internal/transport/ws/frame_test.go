package ws_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	gobwas "github.com/gobwas/ws"

	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

func TestAppendFrame(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 100000} {
		payload := bytes.Repeat([]byte("z"), n)
		want := gobwas.MustCompileFrame(gobwas.NewTextFrame(payload))
		got := ws.AppendFrame([]byte("before"), ws.OpText, payload)
		if !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Errorf("frame of %d bytes differs from gobwas's: % x", n, got[:16])
		}
		if ws.HeaderSize(n) != len(want)-n {
			t.Errorf("HeaderSize(%d) = %d", n, ws.HeaderSize(n))
		}
	}
}

func TestAppendClose(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		code   ws.StatusCode
		reason string
		want   string
	}{
		{"code and reason", 1000, "bye", "\x88\x05\x03\xe8bye"},
		{"code alone", 4000, "", "\x88\x02\x0f\xa0"},
		{"none", 1005, "ignored", "\x88\x00"},
		{"longest", 1000, strings.Repeat("x", 123), "\x88\x7d\x03\xe8" + strings.Repeat("x", 123)},
		{"too long", 1000, strings.Repeat("x", 200), "\x88\x7d\x03\xe8" + strings.Repeat("x", 123)},
		{"too long, cut at a character", 1000, strings.Repeat("x", 122) + "é", "\x88\x7c\x03\xe8" + strings.Repeat("x", 122)},
	} {
		if got := string(ws.AppendClose(nil, c.code, c.reason)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestParseClose(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		payload string
		code    ws.StatusCode
		err     error
	}{
		{"empty", "", 1005, nil},
		{"one byte", "\x03", 0, ws.ErrCloseLength},
		{"bad reason", "\x03\xe8\xff", 0, ws.ErrText},
		{"reason cut in a character", "\x03\xe8\xc3", 0, ws.ErrText},
		{"with reason", "\x03\xe8good", 1000, nil},
	} {
		code, _, err := ws.ParseClose([]byte(c.payload))
		if code != c.code || !errors.Is(err, c.err) {
			t.Errorf("%s: %d, %v; want %d, %v", c.name, code, err, c.code, c.err)
		}
	}
	for code := range ws.StatusCode(6000) {
		legal := code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
		_, _, err := ws.ParseClose([]byte{byte(code >> 8), byte(code)})
		if legal != (err == nil) {
			t.Errorf("close code %d: %v", code, err)
		}
	}
}

// FuzzParseClose looks for panics and for codes that could not be sent back.
func FuzzParseClose(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{3})
	f.Add([]byte("\x03\xe8bye"))
	f.Fuzz(func(t *testing.T, b []byte) {
		code, reason, err := ws.ParseClose(b)
		if err != nil {
			return
		}
		echo := ws.AppendClose(nil, code, string(reason))
		if again, _, err := ws.ParseClose(echo[2:]); len(b) <= 125 && (err != nil || again != code) {
			t.Fatalf("close %d comes back as %d, %v", code, again, err)
		}
	})
}
