package origin

import "net/http"

// CORS lets pages of the allowed origins read h's answers, and answers their
// preflight requests. What is allowed beyond that is a fixed list: asked-for
// headers are never reflected. Credentials are allowed only to origins that
// are named (by an entry or a wildcard), not through "*".
func CORS(l List, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		origins := r.Header["Origin"]
		allowed := len(origins) == 1 && l.Allow(origins[0])
		if allowed {
			w.Header().Set("Access-Control-Allow-Origin", origins[0])
			if !l.any {
				w.Header().Set("Access-Control-Allow-Credentials", "true")
			}
		}
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			h.ServeHTTP(w, r)
			return
		}
		if allowed {
			w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
			w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			w.Header().Set("Access-Control-Max-Age", "600")
		}
		w.WriteHeader(http.StatusNoContent)
	})
}
