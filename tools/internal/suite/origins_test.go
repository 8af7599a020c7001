package suite_test

import (
	"strings"
	"testing"

	"github.com/confab-chat/confab/services/edge"
	"github.com/confab-chat/confab/services/monitor"
	"github.com/confab-chat/confab/shared/config"
	"github.com/confab-chat/confab/shared/origin"
)

// FuzzOrigins checks that the configuration check, edge and monitor agree: they
// accept the same CONFAB_ALLOWED_ORIGINS and allow the same Origin headers with it.
func FuzzOrigins(f *testing.F) {
	for _, entry := range []string{
		"*", "null", "https://app.example.com", "https://*.example.com", "https://app.example.com.", "https://app.example.com:",
		"https://b\u00fccher.example", "https://*.192.168.0.1", "https://a,b.example", "ws://app.example.com", " HTTP://localhost:3000 ",
	} {
		f.Add(entry, "https://app.example.com")
		f.Add(entry, "ws://app.example.com:80")
		f.Add("*", entry)
	}
	f.Fuzz(func(t *testing.T, list, header string) {
		if strings.ContainsAny(list, "\x00\n") { // not possible in an environment
			return
		}
		environ := []string{"CONFAB_ALLOWED_ORIGINS=" + list}
		e, edgeErr := config.Load[edge.Config](environ)
		m, monitorErr := config.Load[monitor.Config](environ)
		want := origin.List{}
		err := want.UnmarshalText([]byte(list))
		if list == "" { // unset: the default of development
			err = want.UnmarshalText([]byte("*"))
		}
		if (edgeErr == nil) != (err == nil) || (monitorErr == nil) != (err == nil) {
			t.Fatalf("%q: edge %v, monitor %v, check %v", list, edgeErr, monitorErr, err)
		}
		if err != nil {
			return
		}
		if a, b, c := e.AllowedOrigins.Allow(header), m.AllowedOrigins.Allow(header), want.Allow(header); a != b || b != c {
			t.Errorf("%q from %q: edge %v, monitor %v, check %v", list, header, a, b, c)
		}
	})
}
