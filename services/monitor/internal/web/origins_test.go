package web_test

import (
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
