package ws

import "unicode/utf8"

// textChecker validates UTF-8 that comes in pieces, and fails at the first
// byte that cannot be continued to valid text.
type textChecker struct {
	tail [utf8.UTFMax]byte // the beginning of a character that is cut
	n    uint8
}

// add reports whether the text is still valid with b behind it.
func (c *textChecker) add(b []byte) bool {
	if c.n > 0 {
		for !utf8.FullRune(c.tail[:c.n]) {
			if len(b) == 0 {
				return true
			}
			c.tail[c.n] = b[0]
			c.n++
			b = b[1:]
		}
		// FullRune is also true for what no byte can repair.
		if r, size := utf8.DecodeRune(c.tail[:c.n]); r == utf8.RuneError && size == 1 {
			return false
		}
		c.n = 0
	}
	b = b[:len(b)-c.keepCut(b)]
	return utf8.Valid(b)
}

// keepCut keeps the cut character at the end of b, if there is one, and
// returns its length.
func (c *textChecker) keepCut(b []byte) int {
	for i := len(b) - 1; i >= 0 && i > len(b)-utf8.UTFMax; i-- {
		if !utf8.RuneStart(b[i]) {
			continue
		}
		if utf8.FullRune(b[i:]) {
			return 0
		}
		c.n = uint8(copy(c.tail[:], b[i:]))
		return int(c.n)
	}
	return 0
}

// complete reports whether the text may end here.
func (c *textChecker) complete() bool { return c.n == 0 }
