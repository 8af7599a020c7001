package web_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/monitor/internal/api"
	"github.com/confab-chat/confab/services/monitor/internal/collect/collecttest"
	"github.com/confab-chat/confab/services/monitor/internal/web"
	"github.com/confab-chat/confab/shared/origin"
)

// site is the public port over a cluster on NATS.
type site struct {
	t   *testing.T
	h   http.Handler
	all []*collecttest.Instance
}

func open(t *testing.T, o web.Options) *site {
	t.Helper()
	c, server := collecttest.Start(t)
	if o.Ready == nil {
		o.Ready = func() bool { return true }
	}
	h, err := web.Handler(c, o)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t, h, collecttest.Cluster(t, server.Conn(t))}
	collecttest.Until(t, s.all, "all four instances heard", func() bool {
		return strings.Count(s.get("/websocket/health").Body.String(), `"status":"ok"`) == 4
	})
	return s
}

func (s *site) get(target string, headers ...string) *httptest.ResponseRecorder {
	return s.do(http.MethodGet, target, headers...)
}

func (s *site) do(method, target string, headers ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	return w
}

func TestBodies(t *testing.T) {
	t.Parallel()
	s := open(t, web.Options{})
	var h api.Health
	w := s.get("/websocket/health")
	if err := json.Unmarshal(w.Body.Bytes(), &h); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" || *h.WebSocket.ConnectedUsers != 11 {
		t.Errorf("%d %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	var st api.Stats
	w = s.get("/websocket/stats")
	if err := json.Unmarshal(w.Body.Bytes(), &st); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusOK || *st.Connections.Current != 12 || len(st.Rooms.Details) != 1 {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
	if strings.Contains(w.Body.String(), "<img") {
		t.Error("a room's name stands in the body as a tag")
	}
	if w = s.get("/websocket/stats?cursor=nonsense"); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "BAD_REQUEST") {
		t.Errorf("foreign cursor: %d %s", w.Code, w.Body)
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	s := open(t, web.Options{Metrics: true})
	tests := []struct {
		method, path string
		status       int
		contains     string
	}{
		{"GET", "/", 200, "<title>Confab status</title>"},
		{"GET", "/status.js", 200, "textContent"},
		{"GET", "/status.css", 200, "body"},
		{"GET", "/livez", 200, `"pass"`},
		{"GET", "/readyz", 200, `"pass"`},
		{"HEAD", "/websocket/health", 200, ""},
		{"GET", "/metrics", 200, "chat_cluster_connections 12"},
		{"GET", "/index.htm", 404, "NOT_FOUND"},
		{"GET", "/page/", 404, "NOT_FOUND"},
		{"GET", "/websocket/", 404, "NOT_FOUND"},
		{"GET", "/debug/pprof/", 404, "NOT_FOUND"},
		{"GET", "/admin/drain", 404, "NOT_FOUND"},
		{"POST", "/websocket/health", 405, ""},
		{"DELETE", "/", 405, ""},
	}
	for _, test := range tests {
		w := s.do(test.method, test.path)
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.contains) {
			t.Errorf("%s %s: %d %.80q, want %d with %q", test.method, test.path, w.Code, w.Body, test.status, test.contains)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q", test.path, name, got)
			}
		}
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") ||
			strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", test.path, policy)
		}
	}
	unready := open(t, web.Options{Ready: func() bool { return false }})
	if w := unready.get("/readyz"); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), `"fail"`) {
		t.Errorf("not ready: %d %s", w.Code, w.Body)
	}
	if w := unready.get("/livez"); w.Code != http.StatusOK {
		t.Errorf("not ready, but live: %d %s", w.Code, w.Body)
	}
	if w := open(t, web.Options{}).get("/metrics"); w.Code != http.StatusNotFound {
		t.Errorf("metrics switched off: %d", w.Code)
	}
}

// The page sets text only and brings nothing inline: the policy would stop it.
func TestPageIsPlain(t *testing.T) {
	t.Parallel()
	s := open(t, web.Options{})
	page, script := s.get("/").Body.String(), s.get("/status.js").Body.String()
	for _, bad := range []string{"<script>", "style=", "onload", "onclick", "http://", "https://"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"} {
		if strings.Contains(script, bad) {
			t.Errorf("the script has %q", bad)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	allowed, err := origin.Parse("https://chat.example.com")
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, web.Options{Origins: allowed})
	const good, bad = "https://chat.example.com", "https://evil.example.com"
	for _, path := range []string{"/websocket/health", "/websocket/stats", "/websocket/stats?cursor=nonsense"} {
		for origin, want := range map[string]string{good: good, bad: "", "null": "", "": ""} {
			w := s.get(path, "Origin", origin)
			if got := w.Header().Get("Access-Control-Allow-Origin"); got != want {
				t.Errorf("%s from %q: allowed %q, want %q", path, origin, got, want)
			}
			if w.Header().Get("Vary") != "Origin" {
				t.Errorf("%s: vary %q", path, w.Header().Get("Vary"))
			}
		}
	}
	ask := []string{
		"Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "X-Evil, Authorization", "Origin",
	}
	w := s.do(http.MethodOptions, "/websocket/health", append(ask, good)...)
	if w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Headers") != "Content-Type" ||
		w.Header().Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight: %d %v", w.Code, w.Header())
	}
	w = s.do(http.MethodOptions, "/websocket/health", append(ask, bad)...)
	if w.Header().Get("Access-Control-Allow-Methods") != "" || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("foreign preflight: %v", w.Header())
	}
	if w = s.get("/", "Origin", good); w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Error("the page is nobody else's")
	}
}

// Metrics have no label for what clients choose, and only known series.
func TestMetrics(t *testing.T) {
	t.Parallel()
	s := open(t, web.Options{Metrics: true})
	edge := s.all[0]
	edge.Telemetry.Counters["bad name"] = 1
	edge.Telemetry.Counters["refusedWords"] = 1
	edge.Telemetry.Latency = map[string]wire.Histogram{}
	collecttest.Until(t, s.all, "all metrics", func() bool {
		got := s.get("/metrics").Body.String()
		for _, want := range []string{
			`chat_cluster_connections_total{service="edge"} 15`,
			`chat_cluster_messages_total{service="room"} 120`,
			`chat_cluster_rooms_created_total{service="room"} 2`,
			`chat_cluster_refused_words_total{service="edge"} 1`,
			`chat_cluster_state{state="healthy"} 1`,
			`chat_cluster_state{state="unhealthy"} 0`,
			`chat_cluster_users 11`,
			`chat_cluster_rooms 2`,
			`chat_instance_up{instance="edge-1",service="edge"} 1`,
			`chat_instance_shards{instance="room-1",service="room"} 64`,
		} {
			if !strings.Contains(got, want+"\n") {
				return false
			}
		}
		return true
	})
	got := s.get("/metrics").Body.String()
	for _, bad := range []string{"img src", "bad name", "An error"} {
		if strings.Contains(got, bad) {
			t.Errorf("metrics contain %q", bad)
		}
	}
	for line := range strings.Lines(got) {
		if name, _, ok := strings.Cut(line, " "); ok && strings.HasPrefix(line, "chat_") &&
			(strings.Contains(name, "room=") || strings.Contains(name, "user=")) {
			t.Errorf("a label of a room or user: %s", line)
		}
	}
}

// What is unknown is no zero: there is no series.
func TestUnknownHasNoSeries(t *testing.T) {
	t.Parallel()
	c, _ := collecttest.Start(t)
	h, err := web.Handler(c, web.Options{Metrics: true})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	got, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(got), "chat_cluster_connections") || !strings.Contains(string(got), "chat_cluster_complete 0") {
		t.Errorf("metrics of nothing:\n%s", got)
	}
}
