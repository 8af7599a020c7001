package origin_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/confab-chat/confab/shared/origin"
)

func list(tb testing.TB, entries ...string) origin.List {
	tb.Helper()
	l, err := origin.Parse(entries...)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func TestAllow(t *testing.T) {
	t.Parallel()
	named := list(t, "https://app.example.com", "http://localhost:5173", "https://*.example.org", "https://*.port.example:8443", "http://[::1]:80", "capacitor://localhost", "ws://native.example", "wss://native.example:443")
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
		{"ws://native.example:80", true},
		{"wss://native.example", true},

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
		{"https://app.example.com:0443", false},
		{"https://app.example.com:0", false},
		{"https://app.example.com:65979", false},
		{"ws://native.example:443", false},
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
		{"https://a.b.port.example:8443", false},
		{"https://port.example:8443", false},
		{"https://x.port.example:8443/path", false},
		{"https://evil.com#.port.example:8443", false},
		{"https://evil.com?.port.example:8443", false},
		{"https://user@x.port.example:8443", false},
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
	for _, header := range []string{"https://a.example.", "https://a.example:", "https://b\u00fccher.example", "https://a,b.example"} {
		if list(t, "*").Allow(header) {
			t.Errorf(`"*" allows %q, which no browser sends`, header)
		}
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
		"https://app.example.com:", "https://b\u00fccher.example", "https://*.192.168.0.1", "https://*.[::1]", "https://a,b.example",
		"https://app.example.com:x", "https://app.example.com:65536", "https://app.example.com#", "https://app.example.com?",
	} {
		if _, err := origin.Parse("https://good.example", e); !errors.Is(err, origin.ErrEntry) {
			t.Errorf("%q: %v", e, err)
		}
	}
}

// FuzzAllow checks that a list of one entry allows only that origin, in any case
// and with or without its default port.
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

func TestUnmarshalText(t *testing.T) {
	t.Parallel()
	var l origin.List
	if err := l.UnmarshalText([]byte(" HTTP://localhost:3000 ,, null")); err != nil {
		t.Fatal(err)
	}
	if l.String() != "HTTP://localhost:3000,null" || !l.Allow("http://localhost:3000") || !l.Allow("null") {
		t.Errorf("got %q", l)
	}
	err := l.UnmarshalText([]byte("https://a.example, https://b.example/, c.example"))
	if !errors.Is(err, origin.ErrEntry) || strings.Contains(err.Error(), "a.example") ||
		!strings.Contains(err.Error(), "b.example/") || !strings.Contains(err.Error(), "c.example") {
		t.Errorf("the error does not name the two bad entries: %v", err)
	}
}

// FuzzEntry checks that an entry means the same wherever it is read: an origin that
// "*" allows is a valid entry that allows itself, and no other entry is valid.
func FuzzEntry(f *testing.F) {
	for _, s := range []string{"https://app.example.com", "ws://a.example:80", "https://*.example.com", "https://app.example.com.", "null", "https://[::1]:8443"} {
		f.Add(s)
	}
	anyOrigin := list(f, "*")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := origin.Parse(s)
		switch {
		case s == "*" || s == "null" || strings.Contains(s, "://*."):
		case anyOrigin.Allow(s) != (err == nil), anyOrigin.Allow(s) != l.Allow(s):
			t.Errorf("%q: as an origin %v, as an entry %v, allowed by itself %v", s, anyOrigin.Allow(s), err, l.Allow(s))
		}
	})
}

// FuzzWildcard checks that a wildcard entry allows only hosts below its own.
func FuzzWildcard(f *testing.F) {
	for _, s := range []string{
		"https://a.example.org", "https://a.example.org:443", "https://evil.com#.example.org", "https://evil.com/.example.org",
		"https://evil.com\\.example.org", "https://evil.com%00.example.org", "null", "", "https://[::1].example.org",
	} {
		f.Add(s)
	}
	l := list(f, "https://*.example.org")
	f.Fuzz(func(t *testing.T, s string) {
		if !l.Allow(s) {
			return
		}
		u, err := url.Parse(s)
		if err != nil || !strings.EqualFold(u.Scheme, "https") ||
			!strings.HasSuffix(strings.ToLower(u.Hostname()), ".example.org") || u.Path != "" {
			t.Errorf("%q is allowed", s)
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
			cors := origin.CORS{Methods: "GET, POST", Headers: "Authorization, Content-Type", Credentials: true}
			cors.Handler(c.list, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
			h := w.Header()
			got := []string{h.Get("Access-Control-Allow-Origin"), h.Get("Access-Control-Allow-Credentials"), h.Get("Access-Control-Allow-Methods")}
			if w.Code != c.status || got[0] != c.acao || got[1] != c.creds || got[2] != c.methods {
				t.Errorf("status %d, headers %q", w.Code, got)
			}
			if h.Get("Vary") != "Origin" {
				t.Error("no Vary: Origin for caches")
			}
			if strings.Contains(h.Get("Access-Control-Allow-Headers"), "evil") {
				t.Error("asked-for headers are reflected")
			}
		})
	}
}
