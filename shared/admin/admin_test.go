package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/confab-chat/confab/shared/admin"
	"github.com/confab-chat/confab/shared/telemetry"
)

// serve runs s on a loopback port and returns its base URL.
func serve(t *testing.T, s *admin.Server) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(ctx, ln); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait(); http.DefaultClient.CloseIdleConnections() })
	return "http://" + ln.Addr().String()
}

func get(t *testing.T, url, host string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestProbes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set        func(*admin.Server)
		path, host string
		code       int
		body       string
	}{
		"live without checks":  {func(*admin.Server) {}, "/livez", "", 200, `{"status":"pass"}`},
		"ready without checks": {func(*admin.Server) {}, "/readyz", "", 200, `{"status":"pass"}`},
		"warn is ready": {func(s *admin.Server) {
			s.Ready("permits", func() admin.Result { return admin.Result{Status: admin.Warn, Output: "fallback"} })
		}, "/readyz", "", 200, `{"status":"warn"}`},
		"fail wins, and why is not told": {func(s *admin.Server) {
			s.Ready("a", func() admin.Result { return admin.Result{Status: admin.Fail, Output: "nats lost"} })
			s.Ready("b", func() admin.Result { return admin.Result{} })
		}, "/readyz", "", 503, `{"status":"fail"}`},
		"why is told when asked": {func(s *admin.Server) {
			s.Ready("nats", func() admin.Result { return admin.Result{Status: admin.Fail, Output: "lost"} })
		}, "/readyz?verbose=1", "", 503, `{"status":"fail","output":"lost","checks":{"nats":{"status":"fail","output":"lost"}}}`},
		"draining":             {(*admin.Server).Drain, "/readyz", "", 503, `{"status":"fail","output":"draining"}`},
		"draining stays alive": {(*admin.Server).Drain, "/livez", "", 200, `{"status":"pass"}`},
		"dead": {func(s *admin.Server) {
			s.Live("loop", func() error { return errors.New("has not ticked") })
		}, "/livez", "", 503, `{"status":"fail"}`},
		"foreign host":  {func(*admin.Server) {}, "/livez", "evil.example", 421, "misdirected"},
		"localhost":     {func(*admin.Server) {}, "/livez", "localhost:9101", 200, `{"status":"pass"}`},
		"pprof is here": {func(*admin.Server) {}, "/debug/pprof/cmdline", "", 200, ""},
		"nothing else":  {func(*admin.Server) {}, "/", "", 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := admin.New()
			c.set(s)
			code, body := get(t, serve(t, s)+c.path, c.host)
			if code != c.code || !strings.HasPrefix(body, c.body) {
				t.Errorf("%d %s, want %d %s", code, body, c.code, c.body)
			}
			if strings.HasPrefix(body, "{") && !json.Valid([]byte(body)) {
				t.Errorf("no JSON: %s", body)
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	tel, err := telemetry.New(t.Context(), telemetry.Options{Service: "edge"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	s := admin.New()
	s.Metrics(tel.Gatherer)
	if code, body := get(t, serve(t, s)+"/metrics", ""); code != 200 || !strings.Contains(body, "go_goroutine_count") {
		t.Errorf("%d %s", code, body)
	}
}
