package config

import (
	"strconv"
	"strings"
)

// Problem is one thing wrong with one variable.
type Problem struct {
	Name    string // of the variable
	Value   string // as given; empty when unset
	Secret  bool   // the value must not be shown
	Reason  string // follows the name: "must be at least 1"
	Example string // a value that would do; may be empty

	unread bool // the variable could not be read
}

// Bad is a problem that a [Validator] found: the name of the variable, with or
// without CONFAB_, and what it must be. Load adds the value that was given.
func Bad(name, reason, example string) Problem {
	return Problem{Name: name, Reason: reason, Example: example}
}

// String is one line: CONFAB_LOG_FORMAT="xml": must be json or text; for example json
func (p Problem) String() string {
	if p.Name == "" { // the reason names it: a variable that is not ours
		return oneLine(p.Reason)
	}
	var b strings.Builder
	b.WriteString(p.Name)
	switch {
	case p.Value != "" && p.Secret:
		b.WriteString("=" + redacted)
	case p.Value != "":
		b.WriteString("=" + strconv.Quote(clip(hideUserinfo(p.Value))))
	}
	if !strings.HasPrefix(p.Reason, "and ") {
		b.WriteByte(':')
	}
	b.WriteString(" " + oneLine(p.Reason))
	if p.Example != "" {
		b.WriteString("; for example " + p.Example)
	}
	return b.String()
}

// Error is returned by [Load] when variables are wrong: all of them at once. A
// service exits with 78.
type Error struct{ Problems []Problem }

// Error is one line for each problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// maxShown bounds how much of a wrong value is repeated.
const maxShown = 100

func clip(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "…"
}

func oneLine(s string) string { return strings.ReplaceAll(s, "\n", " ") }

// hideUserinfo hides user and password in addresses, also in lists and without a
// scheme: nats://user:password@host.
func hideUserinfo(s string) string {
	parts := strings.Split(s, ",")
	for i, part := range parts {
		scheme, rest, ok := strings.Cut(part, "://")
		if !ok {
			scheme, rest = "", part
		}
		authority := rest
		if end := strings.IndexAny(rest, "/?#"); end >= 0 {
			authority = rest[:end]
		}
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			parts[i] = redacted + rest[at:]
			if ok {
				parts[i] = scheme + "://" + parts[i]
			}
		}
	}
	return strings.Join(parts, ",")
}
