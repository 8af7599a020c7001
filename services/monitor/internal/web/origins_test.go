package web_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/confab-chat/confab/services/monitor/internal/web"
)

func TestOrigins(t *testing.T) {
	t.Parallel()
	list := []string{"https://chat.example.com", "https://*.example.org:8443", " HTTP://localhost:3000 "}
	tests := []struct {
		origin string
		list   []string
		want   bool
	}{
		{"https://chat.example.com", list, true},
		{"HTTPS://CHAT.Example.com", list, true},
		{"http://chat.example.com", list, false},
		{"https://chat.example.com:444", list, false},
		{"https://chat.example.com.", list, false},
		{"https://chat.example.com.evil.com", list, false},
		{"https://evilchat.example.com", list, false},
		{"https://a.example.org:8443", list, true},
		{"https://a.b.example.org:8443", list, false},
		{"https://example.org:8443", list, false},
		{"https://.example.org:8443", list, false},
		{"https://a.example.org", list, false},
		{"https://a.example.org:8443/path", list, false},
		{"https://evil.com#.example.org:8443", list, false},
		{"https://evil.com?.example.org:8443", list, false},
		{"https://user@a.example.org:8443", list, false},
		{"http://localhost:3000", list, true},
		{"https://chat.example.com:443", list, true}, // its own port
		{"https://spelled.example.com", []string{"https://spelled.example.com:443"}, true},
		{"https://chat.example.com:80", list, false},
		{"https://*.example.org:8443", list, false},
		{"nonsense", []string{"*"}, false},
		{"null", list, false},
		{"null", []string{"*"}, false},
		{"null", []string{"null"}, true},
		{"https://anything.example", []string{"*"}, true},
		{"https://anything.example", nil, false},
		{"", list, false},
	}
	for _, test := range tests {
		if got := web.NewOrigins(test.list).Allowed(test.origin); got != test.want {
			t.Errorf("%q with %q: %v, want %v", test.origin, test.list, got, test.want)
		}
	}
}

// FuzzOrigins: whatever a header says, only hosts of the list are let in.
func FuzzOrigins(f *testing.F) {
	for _, seed := range []string{
		"https://a.example.org", "https://a.example.org:443", "https://evil.com#.example.org", "https://evil.com/.example.org",
		"https://evil.com\\.example.org", "https://evil.com%00.example.org", "null", "", "https://[::1].example.org",
	} {
		f.Add(seed)
	}
	list := web.NewOrigins([]string{"https://*.example.org"})
	f.Fuzz(func(t *testing.T, origin string) {
		if !list.Allowed(origin) {
			return
		}
		u, err := url.Parse(origin)
		if err != nil || !strings.EqualFold(u.Scheme, "https") ||
			!strings.HasSuffix(strings.ToLower(u.Hostname()), ".example.org") || u.Path != "" {
			t.Errorf("%q is let in", origin)
		}
	})
}
