package strictjson

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Text reads a string.
func (r *Reader) Text() string {
	s, ok := r.str()
	if !ok {
		return ""
	}
	if !s.escaped {
		return string(r.b[s.start:s.end])
	}
	r.scratch = appendUnescaped(r.scratch[:0], r.b[s.start:s.end])
	return string(r.scratch)
}

// TextBytes reads a string without copying it when it has no escapes. The bytes
// are part of the input or of the reader: use them before the next read.
func (r *Reader) TextBytes() []byte {
	s, ok := r.str()
	if !ok {
		return nil
	}
	if !s.escaped {
		return r.b[s.start:s.end:s.end]
	}
	r.scratch = appendUnescaped(r.scratch[:0], r.b[s.start:s.end])
	return r.scratch
}

// AppendText reads a string and appends it to dst.
func (r *Reader) AppendText(dst []byte) []byte {
	s, ok := r.str()
	if !ok {
		return dst
	}
	return appendUnescaped(dst, r.b[s.start:s.end])
}

func (r *Reader) str() (span, bool) {
	if !r.take(String) {
		return span{}, false
	}
	return r.scanString()
}

// readKey reads a key and looks for it among those of its object.
func (r *Reader) readKey(in *scope) bool {
	start := r.pos
	s, ok := r.scanString()
	if !ok {
		return false
	}
	key := r.b[s.start:s.end:s.end]
	if s.escaped {
		key = appendUnescaped(nil, key)
	}
	s.hash = hash(key)
	if bit := uint64(1) << (s.hash & 63); in.seen&bit == 0 {
		in.seen |= bit
	} else if r.hasKey(in.base, s.hash, key) {
		return r.refuse(start, "the same key twice in an object")
	}
	if r.nkeys < inlineKeys {
		r.keys[r.nkeys] = s
	} else {
		r.more = append(r.more[:r.nkeys-inlineKeys], s)
	}
	r.nkeys++
	r.key = key
	return true
}

// hasKey reports whether key is among those from base on.
func (r *Reader) hasKey(base int16, hash uint32, key []byte) bool {
	for i := base; i < r.nkeys; i++ {
		s := &r.keys[i%inlineKeys]
		if i >= inlineKeys {
			s = &r.more[i-inlineKeys]
		}
		if s.hash != hash {
			continue
		}
		raw := r.b[s.start:s.end]
		if s.escaped {
			r.scratch = appendUnescaped(r.scratch[:0], raw)
			raw = r.scratch
		}
		if bytes.Equal(raw, key) {
			return true
		}
	}
	return false
}

// hash avoids comparisons of keys that differ. Keys with equal hashes may still differ:
// an attacker who makes hashes collide causes comparisons, of at most MaxKeys keys each.
func hash(key []byte) uint32 {
	const prime = 0x9e3779b97f4a7c15
	h := uint64(len(key)) * prime
	for ; len(key) >= 8; key = key[8:] {
		h = (h ^ binary.LittleEndian.Uint64(key)) * prime
		h ^= h >> 32
	}
	for _, c := range key {
		h = (h ^ uint64(c)) * prime
	}
	return uint32(h >> 32)
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special marks, with its high bit, each byte of x that ends a plain run: a
// quote, a backslash or a control character. Bytes above the lowest one marked
// may be marked wrongly (the subtraction borrows), so only that one counts.
func special(x uint64) uint64 {
	quote, slash := x^(ones*'"'), x^(ones*'\\')
	return ((quote-ones)&^quote | (slash-ones)&^slash | (x-ones*' ')&^x) & highs
}

// scanString steps over a string, whose opening quote is at hand, and checks it.
func (r *Reader) scanString() (s span, ok bool) {
	r.pos++
	s.start = int32(r.pos)
	var high uint64
	for {
		for r.pos+8 <= len(r.b) {
			x := binary.LittleEndian.Uint64(r.b[r.pos:])
			high |= x
			if m := special(x); m != 0 {
				r.pos += bits.TrailingZeros64(m) / 8
				break
			}
			r.pos += 8
		}
		for r.pos < len(r.b) && r.b[r.pos] != '"' && r.b[r.pos] != '\\' && r.b[r.pos] >= ' ' {
			high |= uint64(r.b[r.pos])
			r.pos++
		}
		switch c := r.peek(); {
		case c == '"' && r.pos < len(r.b):
			s.end = int32(r.pos)
			r.pos++
			return s, high&highs == 0 || r.validUTF8(s)
		case c == '\\':
			s.escaped = true
			if !r.scanEscape() {
				return s, false
			}
		default:
			return s, r.fail(r.pos, "a control character in a string: it must be escaped")
		}
	}
}

func (r *Reader) validUTF8(s span) bool {
	text := r.b[s.start:s.end]
	if utf8.Valid(text) {
		return true
	}
	for i := 0; ; {
		c, size := utf8.DecodeRune(text[i:])
		if c == utf8.RuneError && size <= 1 {
			return r.fail(int(s.start)+i, "invalid UTF-8")
		}
		i += size
	}
}

// scanEscape steps over one escape, or two that make a surrogate pair.
func (r *Reader) scanEscape() bool {
	at := r.pos
	if at+1 >= len(r.b) {
		return r.fail(len(r.b), "")
	}
	r.pos += 2
	switch r.b[at+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
	default:
		return r.fail(at, "an unknown escape")
	}
	c, ok := hex4(r.b[r.pos:])
	if !ok {
		return r.fail(at, `\u needs four hexadecimal digits`)
	}
	r.pos += 4
	if !utf16.IsSurrogate(c) {
		return true
	}
	if next := r.b[r.pos:]; len(next) >= 6 && next[0] == '\\' && next[1] == 'u' {
		if low, ok := hex4(next[2:]); ok && utf16.DecodeRune(c, low) != utf8.RuneError {
			r.pos += 6
			return true
		}
	}
	if r.refuse(at, "half of a surrogate pair"); r.err.Offset == at {
		r.err.Text = true
	}
	return false
}

// hex4 reads four hexadecimal digits.
func hex4(b []byte) (c rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, d := range b[:4] {
		switch {
		case '0' <= d && d <= '9':
			d -= '0'
		case 'a' <= d && d <= 'f':
			d -= 'a' - 10
		case 'A' <= d && d <= 'F':
			d -= 'A' - 10
		default:
			return 0, false
		}
		c = c<<4 | rune(d)
	}
	return c, true
}

// appendUnescaped appends what b, a checked string without its quotes, stands for.
func appendUnescaped(dst, b []byte) []byte {
	for {
		i := bytes.IndexByte(b, '\\')
		if i < 0 {
			return append(dst, b...)
		}
		dst = append(dst, b[:i]...)
		c := b[i+1]
		b = b[i+2:]
		if c != 'u' {
			if k := strings.IndexByte("bfnrt", c); k >= 0 {
				c = "\b\f\n\r\t"[k]
			}
			dst = append(dst, c)
			continue
		}
		u, _ := hex4(b)
		b = b[4:]
		if utf16.IsSurrogate(u) {
			low, _ := hex4(b[2:])
			u = utf16.DecodeRune(u, low)
			b = b[6:]
		}
		dst = utf8.AppendRune(dst, u)
	}
}
