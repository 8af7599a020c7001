package demo_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/confab-chat/confab/services/edge/internal/web/demo"
)

func get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	demo.Handler(http.NotFoundHandler()).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	return rec
}

func TestPageLoadsWhatItNames(t *testing.T) {
	t.Parallel()
	index := get(t, "/")
	if index.Code != http.StatusOK || !strings.Contains(index.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("GET / = %d %s", index.Code, index.Header())
	}
	if csp := index.Header().Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("policy %q", csp)
	}
	names := regexp.MustCompile(`(?:src|href)="([^"#]+)"`).FindAllStringSubmatch(index.Body.String(), -1)
	if len(names) < 2 {
		t.Fatalf("the page names %d files", len(names))
	}
	for _, n := range names {
		if strings.HasPrefix(n[1], "data:") {
			continue
		}
		if rec := get(t, "/"+strings.TrimPrefix(n[1], "/")); rec.Code != http.StatusOK {
			t.Errorf("GET %s = %d", n[1], rec.Code)
		}
	}
	if rec := get(t, "/nothing"); rec.Code != http.StatusNotFound {
		t.Errorf("GET /nothing = %d", rec.Code)
	}
}

// innerHTML and its kin would turn a message into markup.
func TestPageWritesTextOnly(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/app.js", "/confab.js"} {
		body := get(t, path).Body.String()
		for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("} {
			if strings.Contains(body, bad) {
				t.Errorf("%s uses %s", path, bad)
			}
		}
	}
}
