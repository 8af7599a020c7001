package wsframe_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/gobwas/ws"

	"github.com/confab-chat/confab/tools/chatload/internal/wsframe"
)

// What Append builds is what gobwas reads, at every length where the header changes.
func TestAppend(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 70000} {
		payload := bytes.Repeat([]byte("payload "), n/8+1)[:n]
		built := wsframe.Append([]byte("before"), wsframe.Text, payload)
		r := bytes.NewReader(built[len("before"):])
		h, err := ws.ReadHeader(r)
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if !h.Fin || h.OpCode != ws.OpText || !h.Masked || h.Length != int64(n) || r.Len() != n {
			t.Errorf("%d bytes: header %+v", n, h)
		}
		got := built[len(built)-n:]
		if ws.Cipher(got, h.Mask, 0); !bytes.Equal(got, payload) {
			t.Errorf("%d bytes: the payload has changed", n)
		}
	}
}

// Next reads what gobwas builds, however little of it is there at first.
func TestNext(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		payload := bytes.Repeat([]byte{'x'}, n)
		whole := ws.MustCompileFrame(ws.NewTextFrame(payload))
		for cut := range min(len(whole), 300) {
			if _, _, rest, ok, err := wsframe.Next(whole[:cut]); ok || err != nil || len(rest) != cut {
				t.Fatalf("%d of %d bytes: %v %v, rest %d", cut, len(whole), ok, err, len(rest))
			}
		}
		op, got, rest, ok, err := wsframe.Next(append(whole, "next"...))
		if op != wsframe.Text || !bytes.Equal(got, payload) || string(rest) != "next" || !ok || err != nil {
			t.Errorf("%d bytes: op %d, %d bytes, rest %q, %v %v", n, op, len(got), rest, ok, err)
		}
	}
}

func TestNextRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		b    []byte
		want error
	}{
		"first of several": {[]byte{0x01, 0x01, 'x'}, wsframe.ErrFragmented},
		"continuation":     {[]byte{0x80, 0x01, 'x'}, wsframe.ErrFragmented},
		"masked":           {[]byte{0x81, 0x81, 0, 0, 0, 0, 'x'}, wsframe.ErrMasked},
		"too long":         {[]byte{0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0}, wsframe.ErrTooLong},
	} {
		if _, _, _, ok, err := wsframe.Next(test.b); ok || !errors.Is(err, test.want) {
			t.Errorf("%s: %v %v, want %v", name, ok, err, test.want)
		}
	}
}

func FuzzNext(f *testing.F) {
	f.Add(ws.MustCompileFrame(ws.NewTextFrame([]byte("hello"))))
	f.Add(ws.MustCompileFrame(ws.NewPingFrame(nil)))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, payload, rest, ok, err := wsframe.Next(b)
		if ok && err != nil {
			t.Fatal("a frame and an error")
		}
		if !ok && !bytes.Equal(rest, b) {
			t.Fatal("bytes were taken without a frame")
		}
		if ok && len(payload)+len(rest) >= len(b) {
			t.Fatal("a frame without a header")
		}
	})
}
