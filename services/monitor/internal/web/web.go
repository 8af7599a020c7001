// Package web serves monitor's public HTTP port: health, statistics and metrics of the
// cluster, and a status page.
package web

import (
	"context"
	"embed"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/monitor/internal/collect"
	"github.com/confab-chat/confab/shared/origin"
)

//go:embed page
var page embed.FS

// Options are the settings of the public port.
type Options struct {
	Origins origin.List // origins whose pages may read the answers
	Metrics bool        // serve /metrics
	Ready   func() bool // reports whether /readyz passes; called concurrently
}

// Handler returns the handler of the public port. All of its requests are read-only.
func Handler(c *collect.Collector, o Options) (http.Handler, error) {
	assets, err := fs.Sub(page, "page")
	if err != nil {
		return nil, err
	}
	files := http.FileServerFS(assets)
	cors, mux := origin.CORS{Methods: "GET, HEAD", Headers: "Content-Type"}, http.NewServeMux()
	for path, answer := range map[string]func(*http.Request) collect.Answer{
		"/websocket/health": func(*http.Request) collect.Answer { return c.Health() },
		"/websocket/stats":  func(r *http.Request) collect.Answer { return c.Stats(r.URL.Query().Get("cursor")) },
	} {
		body := func(w http.ResponseWriter, r *http.Request) { write(w, answer(r)) }
		empty := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
		mux.Handle("GET "+path, cors.Handler(o.Origins, http.HandlerFunc(body)))
		mux.Handle("OPTIONS "+path, cors.Handler(o.Origins, http.HandlerFunc(empty)))
	}
	for _, path := range []string{"/{$}", "/status.js", "/status.css"} {
		mux.Handle("GET "+path, files)
	}
	mux.Handle("GET /livez", probe(func() bool { return true }))
	mux.Handle("GET /readyz", probe(o.Ready))
	if o.Metrics {
		registry := prometheus.NewRegistry()
		if err := registry.Register(&cluster{c}); err != nil {
			return nil, err
		}
		mux.Handle("GET /metrics", promhttp.HandlerFor(registry,
			promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	}
	return secured(known(mux)), nil
}

// probe answers load balancers in front of the public port. It does not depend on the
// state of the cluster: else one outage would take all monitors out of service just
// when they are needed to show it.
func probe(passes func() bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/health+json")
		verdict := "pass"
		if !passes() {
			verdict = "fail"
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, `{"status":"`+verdict+`"}`+"\n") // the peer may be gone
	})
}

func write(w http.ResponseWriter, a collect.Answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // the peer may be gone
}

// secured sets headers that forbid content from other origins, framing and caching.
func secured(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; "+
			"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

// known answers requests for unknown paths with the error object.
func known(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			write(w, collect.ErrorAnswer(code.New(code.NotFound, "there is nothing at this path")))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// drainWait is how long Serve waits for open requests after ctx has ended. All requests
// are answered from memory.
const drainWait = 2 * time.Second

// Serve answers on ln until ctx ends. It closes ln.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	drained := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainWait)
		defer cancel()
		drained <- server.Shutdown(wait)
	})
	err := server.Serve(ln)
	if stop() { // ctx has not ended: the listener has failed
		return err
	}
	if err := <-drained; err != nil {
		server.Close() // closes the connections of requests that are still open
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
