// Package demo serves the chat page at GET / of an edge outside production: plain
// HTML, CSS and JavaScript, embedded, without a build step. It uses only the client
// contract, so it is also the shortest complete client to read.
package demo

import (
	"embed"
	"io/fs"
	"net/http"
	"strings"
)

//go:embed page
var files embed.FS

// policy lets the page load its own files and connect to its own edge only.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handler serves the page and its files, and passes every other request to notFound.
// It may be called concurrently.
func Handler(notFound http.Handler) http.Handler {
	page, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // the folder is part of the binary
	}
	static := http.FileServerFS(page)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		info, err := fs.Stat(page, name)
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		if !reads || name != "" && (err != nil || info.IsDir()) {
			notFound.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cache-Control", "no-cache")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		static.ServeHTTP(w, r)
	})
}
