package config

import (
	"regexp"
	"strconv"
	"strings"
)

// Problem is one mistake in one variable.
type Problem struct {
	Name    string // of the variable
	Value   string // as given; empty when unset
	Secret  bool   // the value must not be shown
	Reason  string // follows the name: "must be at least 1"
	Example string // an acceptable value; may be empty

	unread bool // the variable could not be read
}

// Bad returns a problem for a [Validator] to report: the name of the variable, with
// or without CONFAB_, and what it must be. Load adds the value that was given.
func Bad(name, reason, example string) Problem {
	return Problem{Name: name, Reason: reason, Example: example}
}

// String returns one line: CONFAB_LOG_FORMAT="xml": must be json or text; for example json
func (p Problem) String() string {
	if p.Name == "" { // a variable without the prefix, which the reason names
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

// Error is returned by [Load] with everything that is wrong. A service exits with
// code 78.
type Error struct{ Problems []Problem }

// Error returns one line for each problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// maxShown bounds how much of a wrong value is shown, in bytes.
const maxShown = 100

func clip(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "…"
}

func oneLine(s string) string { return strings.ReplaceAll(s, "\n", " ") }

// userinfo matches user and password in an address, also in lists and without a
// scheme: nats://user:password@host.
var userinfo = regexp.MustCompile(`(^|,|://)[^/?#,]*@`)

func hideUserinfo(s string) string { return userinfo.ReplaceAllString(s, "${1}"+redacted+"@") }
