// Package origin decides which web pages may use a service: the Origin of a
// WebSocket upgrade, which the server must check itself, and the CORS headers of
// HTTP answers. Settings, edge and monitor share its one parser.
package origin

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ErrEntry is returned by Parse for an entry that is not an origin.
var ErrEntry = errors.New(`must be scheme://host[:port], scheme://*.host[:port], null or *`)

// maxOrigin is longer than any origin can be: a scheme, a host name of 253
// bytes, a port.
const maxOrigin = 512

// List is a set of allowed origins; the zero List allows none. It is immutable
// once parsed and may be used concurrently.
type List struct {
	entries []string // as given, for String
	any     bool
	null    bool
	exact   map[string]struct{} // keys are origin.String
	parents []origin            // of the entries with "*.", which is cut off
}

// origin is a web origin (RFC 6454) in normal form: lower case, the default port
// of http(s) and ws(s) spelled out.
type origin struct{ scheme, host, port string }

// Parse reads an allow list. It reports every bad entry; the errors wrap ErrEntry.
//
//	https://app.example.com      this origin; scheme and port count
//	https://*.example.com        any host with exactly one more label
//	*                            any origin except null
//	null                         pages without an origin (sandboxed, file:)
//
// An entry has the form that browsers send: an ASCII host (punycode for other
// scripts) without a trailing dot, and nothing after the port. Case does not
// matter, and a default port may be spelled out or left out.
func Parse(entries ...string) (List, error) {
	l := List{entries: entries, exact: make(map[string]struct{})}
	var errs []error
	for _, e := range entries {
		if !l.add(e) {
			errs = append(errs, fmt.Errorf("%q %w", e, ErrEntry))
		}
	}
	return l, errors.Join(errs...)
}

// UnmarshalText parses a comma-separated list. Blanks around entries and empty
// entries are ignored.
func (l *List) UnmarshalText(text []byte) error {
	var entries []string
	for e := range strings.SplitSeq(string(text), ",") {
		if e = strings.TrimSpace(e); e != "" {
			entries = append(entries, e)
		}
	}
	var err error
	*l, err = Parse(entries...)
	return err
}

// String returns the entries as given, comma separated.
func (l List) String() string { return strings.Join(l.entries, ",") }

// add reports whether entry is valid.
func (l *List) add(entry string) bool {
	switch entry {
	case "*":
		l.any = true
		return true
	case "null":
		l.null = true
		return true
	}
	scheme, parent, wildcard := strings.Cut(entry, "://*.")
	if wildcard {
		entry = scheme + "://" + parent
	}
	o, ok := parse(entry)
	if !ok {
		return false
	}
	if !wildcard {
		l.exact[o.String()] = struct{}{}
		return true
	}
	if _, err := netip.ParseAddr(o.host); err == nil {
		return false // an address has no labels
	}
	l.parents = append(l.parents, o)
	return true
}

// Any reports whether every origin except null is allowed.
func (l List) Any() bool { return l.any }

// Allow reports whether pages of this origin, the value of an Origin header, may
// use the service. The empty string is not allowed: callers decide about requests
// without the header.
func (l List) Allow(header string) bool {
	if header == "null" {
		return l.null
	}
	o, ok := parse(header)
	if !ok {
		return false
	}
	if l.any {
		return true
	}
	if _, ok := l.exact[o.String()]; ok {
		return true
	}
	label, parent, _ := strings.Cut(o.host, ".")
	return label != "" && slices.Contains(l.parents, origin{o.scheme, parent, o.port})
}

func (o origin) String() string { return o.scheme + "://" + o.host + ":" + o.port }

// parse is strict: it accepts scheme, host and port in the form that browsers
// send, and nothing else. Matching on what it returns, never on parts of the
// string, is what keeps evil.com#.example.com out.
func parse(s string) (origin, bool) {
	if len(s) > maxOrigin || strings.ContainsAny(s, "*,%\\") {
		return origin{}, false
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" || !strings.EqualFold(s, u.Scheme+"://"+u.Host) {
		return origin{}, false // also user, path, query and fragment
	}
	o := origin{strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()}
	if o.host == "" || strings.HasPrefix(o.host, ".") || strings.HasSuffix(o.host, ".") {
		return origin{}, false
	}
	for i := range len(o.host) {
		if c := o.host[i]; c <= ' ' || c >= 0x7f { // browsers send punycode
			return origin{}, false
		}
	}
	if o.port == "" {
		o.port = defaultPort(o.scheme)
		return o, !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.ParseUint(o.port, 10, 16)
	return o, err == nil && n > 0 && o.port[0] != '0'
}

func defaultPort(scheme string) string {
	switch scheme {
	case "http", "ws":
		return "80"
	case "https", "wss":
		return "443"
	}
	return ""
}
