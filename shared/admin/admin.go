// Package admin is the listener of a service for operators, not for clients:
// /livez, /readyz, /metrics and /debug/pprof, on its own mux and its own port.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/confab-chat/confab/shared/telemetry"
)

// Status of a check, and of all of them (draft-inadarei-api-health-check-06, section 3.1).
const (
	Pass = "pass"
	Warn = "warn" // serves, but degraded
	Fail = "fail"
)

// Result is the outcome of a readiness check; its zero value passes.
type Result struct {
	Status string `json:"status"`
	Output string `json:"output,omitempty"` // why it does not pass, for operators
}

// Server answers probes. Its methods may be called concurrently; checks are called
// on request goroutines, concurrently, and must not block.
type Server struct {
	mu        sync.Mutex // guards the following
	live      map[string]func() error
	ready     map[string]func() Result
	gatherers []prometheus.Gatherer
	draining  bool
}

// New returns a server without checks: it is live and ready.
func New() *Server {
	return &Server{live: map[string]func() error{}, ready: map[string]func() Result{}}
}

// Live registers a liveness check. It must depend on this process only: a check that
// depends on another process turns one outage into a restart of everything.
func (s *Server) Live(name string, check func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[name] = check
}

// Ready registers a readiness check.
func (s *Server) Ready(name string, check func() Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready[name] = check
}

// Starting registers a readiness check that fails until the service registers its own
// under the same name.
func (s *Server) Starting(name string) {
	s.Ready(name, func() Result { return Result{Status: Fail, Output: "starting"} })
}

// Once returns a check that fails with the output waitsFor until done has returned
// true once: for what a service needs at start and may lose for a while later.
func Once(waitsFor string, done func() bool) func() Result {
	var passed atomic.Bool
	return func() Result {
		if passed.Load() || done() {
			passed.Store(true)
			return Result{}
		}
		return Result{Status: Fail, Output: waitsFor}
	}
}

// Metrics adds a gatherer to /metrics.
func (s *Server) Metrics(g prometheus.Gatherer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gatherers = append(s.gatherers, g)
}

// Drain makes /readyz fail from now on, so that load balancers use other instances.
// /livez still passes: a draining process must not be killed.
func (s *Server) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
}

// Serve answers on ln until ctx ends. It closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	local := loopback(ln.Addr())
	srv := &http.Server{
		Handler:           s.handler(local),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *Server) handler(local bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", s.livez)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /metrics", s.metrics)
	// Profiles reveal much and cost much: loopback peers only.
	for path, h := range map[string]http.HandlerFunc{
		"/debug/pprof/": pprof.Index, "/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
	} {
		mux.Handle(path, loopbackOnly(h))
	}
	if local {
		return ownHost(mux)
	}
	return mux
}

// loopbackOnly hides h from other machines, and from pages that use DNS rebinding to
// look like this one.
func loopbackOnly(h http.Handler) http.Handler {
	h = ownHost(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopbackPeer(r) {
			http.NotFound(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// ownHost refuses Host names that reach a loopback listener only by DNS rebinding.
func ownHost(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
			http.Error(w, "misdirected request", http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (s *Server) livez(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	checks := make(map[string]func() Result, len(s.live))
	for name, check := range s.live {
		checks[name] = func() Result {
			if err := check(); err != nil {
				return Result{Status: Fail, Output: err.Error()}
			}
			return Result{}
		}
	}
	s.mu.Unlock()
	answer(w, r, checks)
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	checks := make(map[string]func() Result, len(s.ready)+1)
	for name, check := range s.ready {
		checks[name] = check
	}
	if s.draining {
		checks["drain"] = func() Result { return Result{Status: Fail, Output: "draining"} }
	}
	s.mu.Unlock()
	answer(w, r, checks)
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	gatherers := s.gatherers
	s.mu.Unlock()
	if len(gatherers) == 0 { // switched off
		http.NotFound(w, r)
		return
	}
	telemetry.Handler(gatherers...).ServeHTTP(w, r)
}

// report is application/health+json. Checks are shown only to loopback peers that ask
// with ?verbose=1, because they name internal parts and why they fail.
type report struct {
	Status string            `json:"status"`
	Output string            `json:"output,omitempty"`
	Checks map[string]Result `json:"checks,omitempty"`
}

func answer(w http.ResponseWriter, r *http.Request, checks map[string]func() Result) {
	names := make([]string, 0, len(checks))
	for name := range checks {
		names = append(names, name)
	}
	sort.Strings(names)
	rep := report{Status: Pass, Checks: make(map[string]Result, len(checks))}
	for _, name := range names {
		res := checks[name]()
		if res.Status == "" {
			res.Status = Pass
		}
		if worse(res.Status, rep.Status) {
			rep.Status, rep.Output = res.Status, res.Output
		}
		rep.Checks[name] = res
	}
	if r.URL.Query().Get("verbose") == "" || !loopbackPeer(r) {
		rep.Checks = nil
		if rep.Output != "draining" {
			rep.Output = ""
		}
	}
	w.Header().Set("Content-Type", "application/health+json")
	w.Header().Set("Cache-Control", "no-store")
	if rep.Status == Fail {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(rep) // the peer may be gone
}

func worse(a, b string) bool {
	rank := map[string]int{Pass: 0, Warn: 1, Fail: 2}
	return rank[a] > rank[b]
}

func loopbackPeer(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

func loopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
