package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/confab-chat/confab/proto/code"
)

// fetch asks over a connection of its own.
func (sc *scene) fetch(method, url, body string) (status int, answer string) {
	sc.Helper()
	req, err := http.NewRequestWithContext(sc.Context(), method, url, strings.NewReader(body))
	if err != nil {
		sc.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		sc.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		sc.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// head is the header of the answer to a page of that origin.
func (sc *scene) head(url, origin string) http.Header {
	sc.Helper()
	req, err := http.NewRequestWithContext(sc.Context(), http.MethodGet, url, nil)
	if err != nil {
		sc.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Origin", origin)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		sc.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.Header
}

// becomes repeats a request until the answer matches: heartbeats and telemetry are
// published each second.
func (sc *scene) becomes(url string, wantStatus int, pattern string) {
	sc.Helper()
	want := decode(sc, sc.expand(pattern))
	sc.poll(func() error {
		status, body := sc.fetch(http.MethodGet, url, "")
		if err := match("body", want, decode(sc, body)); err != nil || status != wantStatus {
			return fmt.Errorf("%s: %d %w\n%s", url, status, err, body)
		}
		return nil
	})
}

// HttpDoors are the paths of the public ports.
func (contract) HttpDoors(sc *scene) {
	edge, monitor := "http://"+sc.s.Edge, "http://"+sc.s.Monitor
	for _, path := range []string{"/", "/app.js"} {
		if status, body := sc.fetch(http.MethodGet, edge+path, ""); status != http.StatusOK || body == "" {
			sc.Errorf("demo %s: %d", path, status)
		}
	}
	if csp := sc.head(edge+"/", "https://x.example").Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
		sc.Errorf("policy of the demo page: %q", csp)
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/readyz", "/admin/drain", "/websocket", "/websocket/", "/nothing", "/dev-secret", "/../dev-secret"} {
		if status, _ := sc.fetch(http.MethodGet, edge+path, ""); status != http.StatusNotFound {
			sc.Errorf("edge %s: %d", path, status)
		}
	}
	for _, path := range []string{"/debug/pprof/", "/admin/drain", "/nothing"} {
		status, body := sc.fetch(http.MethodGet, monitor+path, "")
		if err := match("body", decode(sc, failure(code.NotFound, "")), decode(sc, body)); status != http.StatusNotFound || err != nil {
			sc.Errorf("monitor %s: %d %v", path, status, err)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		for _, base := range []string{edge, monitor} {
			if status, _ := sc.fetch(method, base+"/websocket/health", "{}"); status < 400 || status >= 500 {
				sc.Errorf("%s %s/websocket/health: %d", method, base, status)
			}
		}
	}
	if status, body := sc.fetch(http.MethodGet, edge+"/ws", ""); status != http.StatusUpgradeRequired {
		sc.Errorf("/ws without upgrade: %d %s", status, body)
	}
	for _, base := range []string{edge, monitor} {
		header := sc.head(base+"/websocket/health", "https://dash.example")
		if got := header.Get("Access-Control-Allow-Origin"); got != "*" && got != "https://dash.example" {
			sc.Errorf("%s: Access-Control-Allow-Origin %q", base, got)
		}
		if status, body := sc.fetch(http.MethodGet, base+"/websocket/stats?cursor=%21%21", ""); status != http.StatusBadRequest {
			sc.Errorf("%s: a wrong cursor: %d %.100s", base, status, body)
		}
	}
}

// pages looks for n rooms of the scene in the pages of the statistics.
func (sc *scene) pages(n int) {
	sc.Helper()
	sc.poll(func() error {
		if seen, pages := sc.rooms("http://" + sc.s.Edge); len(seen) < n || pages < n/100 {
			return fmt.Errorf("%d rooms of %d on %d pages", len(seen), n, pages)
		}
		return nil
	})
}

// rooms reads all pages once. A room may appear twice if it becomes active meanwhile; no
// page may be too long.
func (sc *scene) rooms(base string) (seen map[string]bool, pages int) {
	sc.Helper()
	seen = make(map[string]bool)
	for cursor := ""; ; {
		_, body := sc.fetch(http.MethodGet, base+"/websocket/stats?cursor="+url.QueryEscape(cursor), "")
		stats, _ := decode(sc, body).(map[string]any)
		rooms, _ := stats["rooms"].(map[string]any)
		details, _ := rooms["details"].([]any)
		pages++
		if len(details) > 100 {
			sc.Fatalf("%d rooms on a page", len(details))
		}
		for _, d := range details {
			detail, _ := d.(map[string]any)
			if id, _ := detail["roomId"].(string); strings.HasSuffix(id, sc.tag) {
				seen[id] = true
				want := `{"roomId":"<text>","userCount":"<n>","typingUsers":0,"createdAt":"<time>","lastActivity":"<time>"}`
				if err := match("detail", decode(sc, want), d); err != nil {
					sc.Error(err)
				}
			}
		}
		cursor, _ = rooms["nextCursor"].(string)
		if cursor == "" {
			return seen, pages
		}
	}
}
