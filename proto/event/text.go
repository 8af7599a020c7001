package event

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/confab-chat/confab/proto/code"
)

// Limits of texts in code points (a family emoji is one to the eye, and 7 here).
const (
	MaxContent      = 2000
	MaxContentBytes = 8 << 10 // holds MaxContent code points of 4 bytes
	MaxCustomStatus = 128
	MaxName         = 64
)

// Text is written by people: CONFAB_ESCAPE_HTML escapes it on its way to clients.
//
//typescript:inline string
type Text = string

// requiredText returns s trimmed. It refuses s when nothing of it is visible, and
// what checkText refuses.
func requiredText(field, s string, limit int) (string, error) {
	if s = trim(s); !visible(s) {
		return "", code.New(code.BadRequest, "%s is empty: 1 to %d characters are allowed", field, limit)
	}
	return s, checkText(field, s, limit)
}

// optionalText returns s trimmed, and "" when nothing of it is visible. It refuses
// what checkText refuses.
func optionalText(field, s string, limit int) (string, error) {
	s = trim(s)
	if err := checkText(field, s, limit); err != nil || !visible(s) {
		return "", err
	}
	return s, nil
}

// checkText returns an error if a trimmed text is too long, is not UTF-8, or contains bidi
// overrides or control characters other than newline and tab.
func checkText(field, s string, limit int) error {
	if len(s) > limit*utf8.UTFMax { // spares the counting
		return code.New(code.BadRequest, "%s is too long: at most %d characters are allowed", field, limit)
	}
	n := 0
	for i, c := range s {
		if n++; ' ' <= c && c < 0x7f {
			continue
		}
		if c == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)) {
			return code.New(code.BadRequest, "%s is not valid UTF-8", field)
		}
		if isControl(c) || isBidi(c) {
			return code.New(code.BadRequest, "%s contains a character that is not allowed (U+%04X)", field, c)
		}
	}
	if n > limit {
		return code.New(code.BadRequest, "%s is %d characters long: at most %d are allowed", field, n, limit)
	}
	return nil
}

// trim removes white space at both ends, as JavaScript's trim does: the byte
// order mark counts as such.
func trim(s string) string {
	return strings.TrimFunc(s, func(c rune) bool { return unicode.IsSpace(c) || c == '\ufeff' })
}

// isControl: C0 but newline and tab, DEL, C1.
func isControl(c rune) bool {
	return c < ' ' && c != '\n' && c != '\t' || 0x7f <= c && c <= 0x9f
}

// isBidi: characters that reorder the text around them, embeddings, overrides
// and isolates. Marks (U+200E, U+200F), which Arabic and Hebrew need, do not.
func isBidi(c rune) bool {
	return '\u202a' <= c && c <= '\u202e' || '\u2066' <= c && c <= '\u2069'
}

// visible reports whether anything of s can be seen.
func visible(s string) bool {
	for _, c := range s {
		if !isBlank(c) {
			return true
		}
	}
	return false
}

// isBlank: white space, zero-width and other invisible characters, among them
// fillers and blanks that Unicode counts as letters or symbols.
func isBlank(c rune) bool {
	switch c {
	case 0x034f, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x2800, 0x3164, 0xffa0:
		return true
	}
	return unicode.IsSpace(c) || unicode.Is(unicode.Cf, c) || unicode.Is(unicode.Variation_Selector, c)
}

// SanitizeName makes a display name of whatever an identity provider sends: one
// line, without control characters, bidi overrides and zero-width characters (but
// those that join emoji and letters), cut to MaxName code points, trimmed. It
// returns "" when nothing visible is left: the caller then shows the user id. A
// name is cleaned and not refused because its bearer cannot change it here.
func SanitizeName(name string) string {
	if plainName(name) {
		return name
	}
	name = strings.Map(func(c rune) rune {
		switch {
		case unicode.IsSpace(c):
			return ' '
		case isControl(c), isBidi(c), unicode.Is(unicode.Cf, c) && c != '\u200c' && c != '\u200d':
			return -1
		}
		return c
	}, strings.ToValidUTF8(name, ""))
	name = strings.Join(strings.Fields(name), " ")
	n := 0
	for i := range name {
		if n++; n > MaxName {
			name = strings.TrimRight(name[:i], " ")
			break
		}
	}
	if !visible(name) {
		return ""
	}
	return name
}

// plainName reports whether a name needs no cleaning because it consists of ASCII words
// with single spaces between them, as most names do.
func plainName(name string) bool {
	space := true // where none may stand
	for i := range len(name) {
		c := name[i]
		if c < ' ' || c > '~' || c == ' ' && space {
			return false
		}
		space = c == ' '
	}
	return !space && len(name) <= MaxName
}
