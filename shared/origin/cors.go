package origin

import "net/http"

// CORS is what pages of allowed origins may do beyond reading an answer. The lists
// are fixed: headers that a preflight asks for are never reflected.
type CORS struct {
	Methods string // comma separated
	Headers string // comma separated
	// Credentials lets pages send cookies and HTTP authentication, from origins
	// that an entry or a wildcard names, not through "*".
	Credentials bool
}

// Handler lets pages of the allowed origins read h's answers, and answers their
// preflight requests. Other pages get the answer too, but their browser does not
// show it to them.
func (c CORS) Handler(l List, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Add("Vary", "Origin")
		origins := r.Header["Origin"]
		allowed := len(origins) == 1 && l.Allow(origins[0])
		if allowed {
			header.Set("Access-Control-Allow-Origin", origins[0])
			if c.Credentials && !l.any {
				header.Set("Access-Control-Allow-Credentials", "true")
			}
		}
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			h.ServeHTTP(w, r)
			return
		}
		if allowed {
			header.Set("Access-Control-Allow-Methods", c.Methods)
			header.Set("Access-Control-Allow-Headers", c.Headers)
			header.Set("Access-Control-Max-Age", "600")
		}
		w.WriteHeader(http.StatusNoContent)
	})
}
