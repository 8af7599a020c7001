package ws_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	gobwas "github.com/gobwas/ws"
	"pgregory.net/rapid"

	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// record is a sink that keeps what it receives, one line each.
type record struct {
	lines  []string
	stopAt int // stop behind this line, 0 never
}

func (r *record) Data(op ws.OpCode, p []byte) bool {
	return r.add(fmt.Sprintf("data %d %q", op, p))
}

func (r *record) Control(op ws.OpCode, p []byte) bool {
	return r.add(fmt.Sprintf("control %d %q", op, p))
}

func (r *record) add(s string) bool {
	r.lines = append(r.lines, s)
	return len(r.lines) != r.stopAt
}

// frame makes a client frame.
func frame(fin bool, op ws.OpCode, payload string) []byte {
	f := gobwas.MaskFrameInPlaceWith(gobwas.NewFrame(gobwas.OpCode(op), fin, []byte(payload)), [4]byte{1, 0x80, 0xff, 0x33})
	return gobwas.MustCompileFrame(f)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// decode feeds b in pieces of size n (0: at once).
func decode(limits ws.Limits, b []byte, n int) ([]string, error) {
	d := ws.NewDecoder(limits)
	var p *ws.Partial
	defer d.Release(&p)
	r := new(record)
	b = bytes.Clone(b)
	if n == 0 {
		n = max(1, len(b))
	}
	for len(b) > 0 {
		m := min(n, len(b))
		if _, err := d.Feed(&p, b[:m], r); err != nil {
			return r.lines, err
		}
		b = b[m:]
	}
	return r.lines, nil
}

func TestDecode(t *testing.T) {
	t.Parallel()
	limits := ws.Limits{Message: 300, Fragments: 4}
	for _, c := range []struct {
		name string
		in   []byte
		want []string
		err  error
	}{
		{"text", frame(true, ws.OpText, "hi"), []string{`data 1 "hi"`}, nil},
		{"empty text", frame(true, ws.OpText, ""), []string{`data 1 ""`}, nil},
		{"binary", frame(true, ws.OpBinary, "\x00\xff"), []string{`data 2 "\x00\xff"`}, nil},
		{"two messages", join(frame(true, ws.OpText, "a"), frame(true, ws.OpText, "b")), []string{`data 1 "a"`, `data 1 "b"`}, nil},
		{"16-bit length", frame(true, ws.OpText, strings.Repeat("x", 200)), []string{`data 1 "` + strings.Repeat("x", 200) + `"`}, nil},
		{"fragments", join(frame(false, ws.OpText, "a"), frame(false, ws.OpContinuation, ""), frame(true, ws.OpContinuation, "b")), []string{`data 1 "ab"`}, nil},
		{"ping inside a message", join(frame(false, ws.OpBinary, "a"), frame(true, ws.OpPing, "p"), frame(true, ws.OpContinuation, "b")), []string{`control 9 "p"`, `data 2 "ab"`}, nil},
		{"control frames", join(frame(true, ws.OpPing, ""), frame(true, ws.OpPong, "x"), frame(true, ws.OpClose, "")), []string{`control 9 ""`, `control 10 "x"`, `control 8 ""`}, nil},
		{"longest control frame", frame(true, ws.OpPing, strings.Repeat("p", 125)), []string{`control 9 "` + strings.Repeat("p", 125) + `"`}, nil},

		{"unmasked", []byte{0x81, 0x02, 'h', 'i'}, nil, ws.ErrUnmasked},
		{"rsv1", []byte{0xc1, 0x80, 0, 0, 0, 0}, nil, ws.ErrReservedBits},
		{"rsv2", []byte{0xa1, 0x80, 0, 0, 0, 0}, nil, ws.ErrReservedBits},
		{"rsv3", []byte{0x91, 0x80, 0, 0, 0, 0}, nil, ws.ErrReservedBits},
		{"rsv on a control frame", []byte{0xc9, 0x80, 0, 0, 0, 0}, nil, ws.ErrReservedBits},
		{"opcode 3", []byte{0x83, 0x80}, nil, ws.ErrReservedOpCode},
		{"opcode 7", []byte{0x87, 0x80}, nil, ws.ErrReservedOpCode},
		{"opcode b", []byte{0x8b, 0x80}, nil, ws.ErrReservedOpCode},
		{"opcode f", []byte{0x8f, 0x80}, nil, ws.ErrReservedOpCode},
		{"control frame of 126", []byte{0x89, 0xfe}, nil, ws.ErrControlLength},
		{"fragmented ping", []byte{0x09, 0x80}, nil, ws.ErrControlFragment},
		{"continuation of nothing", frame(true, ws.OpContinuation, "x"), nil, ws.ErrContinuation},
		{"continuation after a whole message", join(frame(true, ws.OpText, "a"), frame(true, ws.OpContinuation, "x")), []string{`data 1 "a"`}, ws.ErrContinuation},
		{"text inside a message", join(frame(false, ws.OpText, "a"), frame(true, ws.OpText, "b")), nil, ws.ErrInterleaved},
		{"length 2^63-1", []byte{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, nil, ws.ErrTooBig},
		{"length with MSB", []byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4}, nil, ws.ErrLength},

		{"exactly the limit", frame(true, ws.OpBinary, strings.Repeat("x", 300)), []string{`data 2 "` + strings.Repeat("x", 300) + `"`}, nil},
		{"over the limit in one frame", frame(true, ws.OpBinary, strings.Repeat("x", 301)), nil, ws.ErrTooBig},
		{"over the limit in two", join(frame(false, ws.OpBinary, strings.Repeat("x", 200)), frame(true, ws.OpContinuation, strings.Repeat("x", 101))), nil, ws.ErrTooBig},
		{"exactly the limit in two", join(frame(false, ws.OpBinary, strings.Repeat("x", 200)), frame(true, ws.OpContinuation, strings.Repeat("x", 100))), []string{`data 2 "` + strings.Repeat("x", 300) + `"`}, nil},
		{"as many fragments as allowed", join(frame(false, ws.OpText, ""), frame(false, 0, ""), frame(false, 0, ""), frame(true, 0, "")), []string{`data 1 ""`}, nil},
		{"too many empty fragments", join(frame(false, ws.OpText, ""), frame(false, 0, ""), frame(false, 0, ""), frame(false, 0, ""), frame(false, 0, "")), nil, ws.ErrFragments},
		{"cut", []byte{0x81, 0x85, 1, 2, 3}, nil, nil},
	} {
		for _, n := range []int{0, 1, 2, 3, 7} {
			t.Run(fmt.Sprintf("%s/by %d", c.name, n), func(t *testing.T) {
				t.Parallel()
				got, err := decode(limits, c.in, n)
				if fmt.Sprint(got) != fmt.Sprint(c.want) || !errors.Is(err, c.err) {
					t.Errorf("got %v, %v\nwant %v, %v", got, err, c.want, c.err)
				}
			})
		}
	}
}

// TestFailsFast wants bad text refused by the byte that breaks it, not when
// the message ends.
func TestFailsFast(t *testing.T) {
	t.Parallel()
	good := "κόσμε"
	d := ws.NewDecoder(ws.DefaultLimits())
	var p *ws.Partial
	if _, err := d.Feed(&p, frame(false, ws.OpText, good+"\xed"), new(record)); err != nil {
		t.Fatalf("a cut character was refused: %v", err)
	}
	bad := frame(false, 0, "\xa0\x80 and more")
	_, err := d.Feed(&p, bad[:7], new(record)) // header and one byte: a surrogate begins
	if !errors.Is(err, ws.ErrText) {
		t.Errorf("got %v, want %v", err, ws.ErrText)
	}
}

// TestStop wants the decoder to stop behind the frame at which the sink said so.
func TestStop(t *testing.T) {
	t.Parallel()
	d := ws.NewDecoder(ws.DefaultLimits())
	var p *ws.Partial
	in := join(frame(true, ws.OpText, "a"), frame(true, ws.OpPing, "b"), frame(true, ws.OpText, "c"))
	r := &record{stopAt: 1}
	for want := 1; want <= 3; want++ {
		rest, err := d.Feed(&p, in, r)
		if err != nil || len(r.lines) != want {
			t.Fatalf("after stop %d: %v, %v", want, r.lines, err)
		}
		in, r.stopAt = rest, want+1
	}
	if len(in) != 0 || p != nil {
		t.Errorf("left: % x, %v", in, p)
	}
}

// TestIdleHoldsNothing: between messages there is no partial.
func TestIdleHoldsNothing(t *testing.T) {
	t.Parallel()
	d := ws.NewDecoder(ws.DefaultLimits())
	var p *ws.Partial
	for _, b := range join(frame(false, ws.OpText, "ab"), frame(true, ws.OpPing, "x"), frame(true, 0, "c")) {
		if _, err := d.Feed(&p, []byte{b}, new(record)); err != nil {
			t.Fatal(err)
		}
	}
	if p != nil {
		t.Error("a partial is left behind a whole message")
	}
}

// TestNoAllocationByDeclaration: a length that is declared costs nothing.
func TestNoAllocationByDeclaration(t *testing.T) {
	limits := ws.Limits{Message: 1 << 30, Fragments: 64}
	head := []byte{0x82, 0xff, 0, 0, 0, 0, 0x3f, 0xff, 0xff, 0xff, 1, 2, 3, 4, 'x'}
	res := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d := ws.NewDecoder(limits)
			var p *ws.Partial
			if _, err := d.Feed(&p, bytes.Clone(head), new(record)); err != nil {
				b.Fatal(err)
			}
		}
	})
	if n := res.AllocedBytesPerOp(); n > 2048 {
		t.Errorf("%d bytes allocated for a declared length of 1 GiB", n)
	}
}

// TestCutAnywhere is the property that how the network cuts the bytes makes no
// difference, with random valid and invalid frames.
func TestCutAnywhere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var in []byte
		for range rapid.IntRange(1, 6).Draw(t, "frames") {
			op := rapid.SampledFrom([]ws.OpCode{0, 0, 1, 1, 2, 8, 9, 10, 5}).Draw(t, "op")
			payload := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\xe2\x82", "\xac", "\xff", "\xf0\x9f", "\x98\x80"})).Draw(t, "payload")
			in = append(in, frame(rapid.Bool().Draw(t, "fin"), op, payload)...)
		}
		limits := ws.Limits{Message: 200, Fragments: 3}
		want, wantErr := decode(limits, in, 0)
		n := rapid.IntRange(1, len(in)).Draw(t, "piece")
		got, err := decode(limits, in, n)
		if fmt.Sprint(got) != fmt.Sprint(want) || !errors.Is(err, wantErr) {
			t.Fatalf("by %d: %v, %v\nat once: %v, %v", n, got, err, want, wantErr)
		}
	})
}

// FuzzDecode looks for panics, for invalid text let through, and for
// differences between one piece and many.
func FuzzDecode(f *testing.F) {
	f.Add(frame(true, ws.OpText, "hello"), uint8(3))
	f.Add(join(frame(false, ws.OpText, "κ"), frame(true, ws.OpPing, "p"), frame(true, 0, "ό")), uint8(1))
	f.Add(frame(true, ws.OpClose, "\x03\xe8bye"), uint8(2))
	f.Add([]byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4}, uint8(0))
	f.Add([]byte{0x09, 0x80}, uint8(1))
	for _, v := range utf8Vectors {
		f.Add(frame(true, ws.OpText, v.text), uint8(1))
	}
	limits := ws.Limits{Message: 1 << 10, Fragments: 8}
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) {
		whole, wholeErr := decode(limits, in, 0)
		cut, cutErr := decode(limits, in, int(piece))
		if fmt.Sprint(whole) != fmt.Sprint(cut) || !errors.Is(cutErr, wholeErr) {
			t.Fatalf("cut by %d: %v, %v\nwhole: %v, %v", piece, cut, cutErr, whole, wholeErr)
		}
		want, wantErr := reference(limits, in)
		if fmt.Sprint(whole) != fmt.Sprint(want) || !errors.Is(wholeErr, wantErr) {
			t.Fatalf("got %v, %v\nreference %v, %v", whole, wholeErr, want, wantErr)
		}
	})
}

// reference is the slow and simple decoder that the real one must agree with:
// byte-wise unmasking, text checked prefix by prefix.
func reference(l ws.Limits, b []byte) (lines []string, err error) {
	var msg []byte
	var op ws.OpCode
	frames := 0
	for len(b) >= 2 {
		fin, o, n := b[0]&0x80 != 0, ws.OpCode(b[0]&15), uint64(b[1]&127)
		switch {
		case b[0]&0x70 != 0:
			return lines, ws.ErrReservedBits
		case o > 2 && o < 8 || o > 10:
			return lines, ws.ErrReservedOpCode
		case o >= 8 && !fin:
			return lines, ws.ErrControlFragment
		case o >= 8 && n > 125:
			return lines, ws.ErrControlLength
		case b[1]&0x80 == 0:
			return lines, ws.ErrUnmasked
		}
		ext := map[uint64]int{126: 2, 127: 8}[n]
		if len(b) < 2+ext+4 {
			return lines, nil
		}
		if ext > 0 {
			n = 0
			for _, x := range b[2 : 2+ext] {
				n = n<<8 | uint64(x)
			}
		}
		mask := b[2+ext:]
		body := b[2+ext+4:]
		if n>>63 != 0 {
			return lines, ws.ErrLength
		}
		if o < 8 {
			switch {
			case o == 0 && frames == 0:
				return lines, ws.ErrContinuation
			case o != 0 && frames > 0:
				return lines, ws.ErrInterleaved
			case n > uint64(l.Message-len(msg)):
				return lines, ws.ErrTooBig
			case frames >= l.Fragments:
				return lines, ws.ErrFragments
			}
			if frames++; o != 0 {
				op = o
			}
		}
		got := min(n, uint64(len(body)))
		var plain []byte
		for i := range got {
			plain = append(plain, body[i]^mask[i%4])
		}
		if o < 8 {
			msg = append(msg, plain...)
			if op == ws.OpText && !prefixOfText(msg) {
				return lines, ws.ErrText
			}
		}
		if got < n {
			return lines, nil
		}
		b = body[n:]
		switch {
		case o >= 8:
			lines = append(lines, fmt.Sprintf("control %d %q", o, plain))
		case fin:
			if op == ws.OpText && !utf8.Valid(msg) {
				return lines, ws.ErrText
			}
			lines = append(lines, fmt.Sprintf("data %d %q", op, msg))
			msg, op, frames = nil, 0, 0
		}
	}
	return lines, nil
}

// prefixOfText reports whether b can be continued to valid UTF-8.
func prefixOfText(b []byte) bool {
	for len(b) > 0 {
		if !utf8.FullRune(b) {
			return true
		}
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			return false
		}
		b = b[n:]
	}
	return true
}
