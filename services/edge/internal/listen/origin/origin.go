// Package origin decides which web pages may talk to the edge: the Origin of a
// WebSocket upgrade, which no browser checks for us, and the CORS headers of
// HTTP answers, both from the same list.
package origin

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// ErrEntry is returned by Parse for an entry that is no origin.
var ErrEntry = errors.New(`want scheme://host[:port], scheme://*.host[:port], "null" or "*"`)

// maxOrigin is longer than any origin can be: a scheme, a host name of 253
// bytes, a port.
const maxOrigin = 512

// List is a set of allowed origins. It is immutable.
type List struct {
	any     bool
	null    bool
	exact   map[string]struct{} // scheme://host:port, normal form
	parents []origin            // of the entries with *.: host is what follows
}

// origin is a web origin (RFC 6454) in normal form: lower case, port spelled
// out for http(s) and ws(s).
type origin struct{ scheme, host, port string }

// Parse reads the entries of an allow list:
//
//	https://app.example.com      this origin; scheme and port count
//	https://*.example.com        any host with exactly one more label
//	*                            any origin but null
//	null                         pages without an origin (sandboxed, file:)
//
// Matching works on parsed origins, never on parts of the string.
func Parse(entries []string) (List, error) {
	l := List{exact: make(map[string]struct{})}
	var errs []error
	for _, e := range entries {
		if err := l.add(e); err != nil {
			errs = append(errs, fmt.Errorf("allowed origin %q: %w", e, err))
		}
	}
	return l, errors.Join(errs...)
}

func (l *List) add(entry string) error {
	switch entry {
	case "*":
		l.any = true
		return nil
	case "null":
		l.null = true
		return nil
	}
	scheme, host, _ := strings.Cut(entry, "://")
	if parent, wild := strings.CutPrefix(host, "*."); wild {
		o, ok := parse(scheme + "://" + parent)
		if _, err := netip.ParseAddr(o.host); !ok || err == nil {
			return ErrEntry // an address has no labels
		}
		l.parents = append(l.parents, o)
		return nil
	}
	o, ok := parse(entry)
	if !ok {
		return ErrEntry
	}
	l.exact[o.String()] = struct{}{}
	return nil
}

// Any tells whether every origin (but null) is allowed.
func (l List) Any() bool { return l.any }

// Allow tells whether a page of this origin may talk to us. The empty string
// is not an origin and not allowed: that a request has none is another case.
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
	label, parent, ok := strings.Cut(o.host, ".")
	if !ok || label == "" {
		return false
	}
	return slices.Contains(l.parents, origin{o.scheme, parent, o.port})
}

func (o origin) String() string { return o.scheme + "://" + o.host + ":" + o.port }

// parse is strict: nothing but scheme, host and port, as a browser sends it.
func parse(s string) (origin, bool) {
	if len(s) > maxOrigin || strings.ContainsAny(s, "*,%\\") {
		return origin{}, false
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || u.Path != "" ||
		u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(s, "#") {
		return origin{}, false
	}
	o := origin{strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()}
	if o.host == "" || strings.HasSuffix(o.host, ".") || strings.HasPrefix(o.host, ".") {
		return origin{}, false
	}
	for i := range len(o.host) {
		if c := o.host[i]; c <= ' ' || c >= 0x7f { // browsers send punycode
			return origin{}, false
		}
	}
	if o.port == "" {
		if strings.HasSuffix(u.Host, ":") {
			return origin{}, false
		}
		o.port = defaultPort(o.scheme)
	}
	return o, true
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
