package web

import (
	"net/http"
	"net/url"
	"strings"
)

// Origins decides which web origins may read an answer (CORS). It follows the
// same rules as the edge's doors.
type Origins struct {
	any, null bool
	exact     map[string]bool // in the form of normal
	wild      map[string]bool // the same of what follows "*."
}

// NewOrigins takes origins as browsers write them, scheme://host[:port] in any
// case; "*" allows all of them but null, a host may begin with the one label
// "*.", and "null" must be listed to be allowed. What is no origin is left out:
// shared/config has refused it.
func NewOrigins(list []string) Origins {
	o := Origins{exact: make(map[string]bool), wild: make(map[string]bool)}
	for _, entry := range list {
		entry = strings.TrimSpace(entry)
		into := o.exact
		if scheme, parent, ok := strings.Cut(entry, "://*."); ok {
			entry, into = scheme+"://"+parent, o.wild
		}
		o.any = o.any || entry == "*"
		o.null = o.null || entry == "null"
		if _, _, origin, ok := normal(entry); ok {
			into[origin] = true
		}
	}
	return o
}

// Allowed tells whether a page from origin, as the header says it, may read.
func (o Origins) Allowed(origin string) bool {
	if origin == "null" {
		return o.null
	}
	scheme, host, origin, ok := normal(origin)
	if !ok {
		return false
	}
	label, parent, _ := strings.Cut(host, ".")
	return o.any || o.exact[origin] || label != "" && o.wild[scheme+"://"+parent]
}

// normal splits an origin into scheme and host[:port], in lower case and without
// the scheme's own port; origin is both together. Matching on what has been
// parsed, never on parts of the string, is what keeps evil.com#.example.com out.
func normal(s string) (scheme, host, origin string, ok bool) {
	u, err := url.Parse(strings.ToLower(s))
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != strings.ToLower(s) || strings.ContainsAny(u.Host, "*%\\ ") {
		return "", "", "", false
	}
	host = u.Host
	switch u.Scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return u.Scheme, host, u.Scheme + "://" + host, true
}

// allow answers preflights, and lets the pages of allowed origins read what h
// answers. Others get the answer too, which their browser keeps from them.
func (o Origins) allow(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Add("Vary", "Origin")
		given := r.Header["Origin"]
		allowed := len(given) == 1 && o.Allowed(given[0])
		if allowed {
			header.Set("Access-Control-Allow-Origin", given[0])
		}
		if r.Method != http.MethodOptions {
			h.ServeHTTP(w, r)
			return
		}
		if allowed {
			header.Set("Access-Control-Allow-Methods", "GET, HEAD")
			header.Set("Access-Control-Allow-Headers", "Content-Type")
			header.Set("Access-Control-Max-Age", "600")
		}
		w.WriteHeader(http.StatusNoContent)
	})
}
