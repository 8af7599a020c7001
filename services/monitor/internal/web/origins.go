package web

import (
	"net/http"
	"net/url"
	"strings"
)

// Origins decides which web origins may read an answer (CORS).
type Origins struct {
	any   bool
	exact map[string]bool
	wild  []wildcard
}

// wildcard is scheme://*.host[:port]: exactly one label in front.
type wildcard struct{ scheme, suffix string }

// NewOrigins takes origins as browsers write them, scheme://host[:port] in any
// case; "*" allows all of them, a host may begin with the one label "*.", and
// "null" must be listed to be allowed.
func NewOrigins(list []string) Origins {
	o := Origins{exact: make(map[string]bool)}
	for _, origin := range list {
		origin = strings.ToLower(strings.TrimSpace(origin))
		scheme, host, _ := strings.Cut(origin, "://")
		if suffix, ok := strings.CutPrefix(host, "*"); ok {
			o.wild = append(o.wild, wildcard{scheme, suffix})
			continue
		}
		o.any = o.any || origin == "*"
		o.exact[origin] = true
	}
	return o
}

// Allowed tells whether a page from origin, as the header says it, may read.
func (o Origins) Allowed(origin string) bool {
	origin = strings.ToLower(origin)
	if o.any && origin != "null" || o.exact[origin] {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.User != nil || u.Path != "" {
		return false
	}
	for _, w := range o.wild {
		label, ok := strings.CutSuffix(u.Host, w.suffix)
		if ok && u.Scheme == w.scheme && label != "" && !strings.Contains(label, ".") {
			return true
		}
	}
	return false
}

// allow answers preflights, and lets the pages of allowed origins read what h
// answers. Others get the answer too, which their browser keeps from them.
func (o Origins) allow(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		allowed := origin != "" && o.Allowed(origin)
		if allowed {
			header.Set("Access-Control-Allow-Origin", origin)
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
