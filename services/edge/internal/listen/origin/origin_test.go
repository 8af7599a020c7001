package origin_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/confab-chat/confab/services/edge/internal/listen/origin"
)

func list(tb testing.TB, entries ...string) origin.List {
	tb.Helper()
	l, err := origin.Parse(entries)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func TestAllow(t *testing.T) {
	t.Parallel()
	named := list(t, "https://app.example.com", "http://localhost:5173", "https://*.example.org", "https://*.port.example:8443", "http://[::1]:80", "capacitor://localhost")
	for _, c := range []struct {
		origin string
		want   bool
	}{
		{"https://app.example.com", true},
		{"HTTPS://APP.Example.COM", true},
		{"https://app.example.com:443", true},
		{"http://localhost:5173", true},
		{"http://[::1]", true},
		{"capacitor://localhost", true},
		{"https://a.example.org", true},
		{"https://A.EXAMPLE.ORG:443", true},
		{"https://x.port.example:8443", true},

		{"", false},
		{"null", false},
		{"*", false},
		{"https://app.example.com.evil.com", false},
		{"https://evilapp.example.com", false},
		{"https://evil.com/https://app.example.com", false},
		{"http://app.example.com", false},
		{"https://app.example.com:8443", false},
		{"https://app.example.com.", false},
		{"https://app.example.com/", false},
		{"https://app.example.com?", false},
		{"https://app.example.com#", false},
		{"https://app.example.com:", false},
		{"https://user@app.example.com", false},
		{"https://user:pw@app.example.com", false},
		{"app.example.com", false},
		{"//app.example.com", false},
		{"https://", false},
		{" https://app.example.com", false},
		{"https://app.example.com,https://evil.com", false},
		{"https://app.example.com https://evil.com", false},
		{"https://app%2eexample.com", false},
		{"https://app.example.com\x00", false},
		{"https://example.org", false},
		{"https://.example.org", false},
		{"https://a.b.example.org", false},
		{"https://aexample.org", false},
		{"https://a.example.org.evil.com", false},
		{"http://a.example.org", false},
		{"https://x.port.example", false},
		{"https://*.example.org", false},
		{"https://ex\u00e4mple.com", false},
		{"https://" + strings.Repeat("a", 600) + ".example.org", false},
	} {
		if got := named.Allow(c.origin); got != c.want {
			t.Errorf("Allow(%q) = %v", c.origin, got)
		}
	}
}

func TestAnyAndNull(t *testing.T) {
	t.Parallel()
	if l := list(t, "*"); !l.Any() || !l.Allow("https://anything.example") || l.Allow("null") || l.Allow("") || l.Allow("garbage") {
		t.Error(`"*" allows the wrong things`)
	}
	if l := list(t, "null"); !l.Allow("null") || l.Allow("https://null") {
		t.Error(`"null" allows the wrong things`)
	}
	if l := list(t); l.Allow("null") || l.Allow("https://a.example") {
		t.Error("the empty list allows something")
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, e := range []string{
		"", "example.com", "https://", "https://*", "https://*.", "https://a.*.example.com", "https://*a.example.com",
		"https://*.*.example.com", "*.example.com", "https://example.com/path", "https://example.com?q", "https://u@example.com",
		"https://example.com.", " https://example.com", "https://*.10.0.0.1", "https://a.example.com,https://b.example.com", "**",
	} {
		if _, err := origin.Parse([]string{"https://good.example", e}); !errors.Is(err, origin.ErrEntry) {
			t.Errorf("%q: %v", e, err)
		}
	}
}

// FuzzAllow: whatever passes a list without wildcards is, but for its case and
// a default port, the one entry.
func FuzzAllow(f *testing.F) {
	l := list(f, "https://app.example.com")
	for _, s := range []string{"https://app.example.com", "https://APP.example.com:443", "https://app.example.com.evil.com", "null", "https://app.example.com@evil.com"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		lower := strings.ToLower(s)
		want := lower == "https://app.example.com" || lower == "https://app.example.com:443"
		if got := l.Allow(s); got != want {
			t.Fatalf("Allow(%q) = %v", s, got)
		}
	})
}

func TestCORS(t *testing.T) {
	t.Parallel()
	named, anyone := list(t, "https://app.example.com"), list(t, "*")
	for _, c := range []struct {
		name      string
		list      origin.List
		method    string
		origins   []string
		preflight bool
		status    int
		acao      string
		creds     string
		methods   string
	}{
		{"good", named, "GET", []string{"https://app.example.com"}, false, 200, "https://app.example.com", "true", ""},
		{"bad", named, "GET", []string{"https://evil.example"}, false, 200, "", "", ""},
		{"none", named, "GET", nil, false, 200, "", "", ""},
		{"two", named, "GET", []string{"https://app.example.com", "https://app.example.com"}, false, 200, "", "", ""},
		{"null", anyone, "GET", []string{"null"}, false, 200, "", "", ""},
		{"anyone", anyone, "GET", []string{"https://x.example"}, false, 200, "https://x.example", "", ""},
		{"good preflight", named, "OPTIONS", []string{"https://app.example.com"}, true, 204, "https://app.example.com", "true", "GET, POST"},
		{"bad preflight", named, "OPTIONS", []string{"https://evil.example"}, true, 204, "", "", ""},
		{"plain OPTIONS", named, "OPTIONS", nil, false, 200, "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(c.method, "/websocket/health", nil)
			if c.origins != nil {
				r.Header["Origin"] = c.origins
			}
			if c.preflight {
				r.Header.Set("Access-Control-Request-Method", "GET")
				r.Header.Set("Access-Control-Request-Headers", "x-evil")
			}
			w := httptest.NewRecorder()
			origin.CORS(c.list, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {})).ServeHTTP(w, r)
			h := w.Header()
			got := []string{h.Get("Access-Control-Allow-Origin"), h.Get("Access-Control-Allow-Credentials"), h.Get("Access-Control-Allow-Methods")}
			if w.Code != c.status || got[0] != c.acao || got[1] != c.creds || got[2] != c.methods {
				t.Errorf("status %d, headers %q", w.Code, got)
			}
			if h.Get("Vary") != "Origin" {
				t.Error("caches are not told that the answer varies")
			}
			if strings.Contains(h.Get("Access-Control-Allow-Headers"), "evil") {
				t.Error("asked-for headers are reflected")
			}
		})
	}
}
