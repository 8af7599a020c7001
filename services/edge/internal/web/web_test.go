package web_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/services/edge/internal/web"
	"github.com/confab-chat/confab/shared/origin"
)

// monitor is a fake monitor with the given answer.
type monitor struct {
	status, body string
	err          error
	asked        *nats.Msg
}

func (m *monitor) RequestMsgWithContext(_ context.Context, msg *nats.Msg) (*nats.Msg, error) {
	m.asked = msg
	if m.err != nil {
		return nil, m.err
	}
	return &nats.Msg{Header: nats.Header{"Status": {m.status}}, Data: []byte(m.body)}, nil
}

func handler(t *testing.T, m *monitor, secret string) http.Handler {
	t.Helper()
	origins, err := origin.Parse("https://chat.example")
	if err != nil {
		t.Fatal(err)
	}
	o := web.Options{NATS: m, Origins: origins, Logger: slog.New(slog.DiscardHandler)}
	if secret != "" {
		o.DevSecret = []byte(secret)
	}
	return web.Handler(o)
}

const secret = "0123456789abcdef0123456789abcdef"

func TestSite(t *testing.T) {
	t.Parallel()
	healthy := monitor{status: "200", body: `{"status":"healthy"}`}
	for name, c := range map[string]struct {
		monitor      monitor
		secret       string
		method, path string
		body         string
		code         int
		want         string
	}{
		"health":                  {healthy, "", "GET", "/websocket/health", "", 200, `{"status":"healthy"}`},
		"unhealthy":               {monitor{status: "503", body: `{"status":"unhealthy"}`}, "", "GET", "/websocket/health", "", 503, `{"status":"unhealthy"}`},
		"health without monitor":  {monitor{err: nats.ErrNoResponders}, "", "GET", "/websocket/health", "", 503, `{"status":"unhealthy"`},
		"stats":                   {monitor{status: "200", body: `{}`}, "", "GET", "/websocket/stats?cursor=x", "", 200, `{}`},
		"stats without monitor":   {monitor{err: nats.ErrNoResponders}, "", "GET", "/websocket/stats", "", 503, `{"success":false,"error":"UNAVAILABLE"`},
		"demo page":               {healthy, secret, "GET", "/", "", 200, "<!doctype html>"},
		"no page in production":   {healthy, "", "GET", "/", "", 404, `{"success":false,"error":"NOT_FOUND"`},
		"no token in production":  {healthy, "", "POST", "/dev/token", `{"name":"A"}`, 404, `{"success":false,"error":"NOT_FOUND"`},
		"token for an empty name": {healthy, secret, "POST", "/dev/token", `{"name":" \u200b "}`, 400, `{"success":false,"error":"BAD_REQUEST"`},
		"token without JSON":      {healthy, secret, "POST", "/dev/token", `name=A`, 400, `{"success":false,"error":"BAD_REQUEST"`},
		"token with a huge body":  {healthy, secret, "POST", "/dev/token", `{"name":"` + strings.Repeat("a", 8000) + `"}`, 400, `{"success":false,"error":"BAD_REQUEST"`},
		"only to read":            {healthy, "", "POST", "/websocket/health", "", 405, ""},
		"profiles are elsewhere":  {healthy, secret, "GET", "/debug/pprof/", "", 404, ""},
		"metrics are elsewhere":   {healthy, secret, "GET", "/metrics", "", 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := httptest.NewRecorder()
			handler(t, &c.monitor, c.secret).ServeHTTP(rec, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body)))
			if rec.Code != c.code || !strings.HasPrefix(rec.Body.String(), c.want) {
				t.Errorf("%d %s, want %d %s", rec.Code, rec.Body, c.code, c.want)
			}
		})
	}
}

func TestStatsHandsTheCursorOn(t *testing.T) {
	t.Parallel()
	m := &monitor{status: "200", body: `{}`}
	handler(t, m, "").ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/websocket/stats?cursor=abc", nil))
	if m.asked.Subject != subject.APIStats || string(m.asked.Data) != "abc" {
		t.Errorf("asked %s %q", m.asked.Subject, m.asked.Data)
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	rec := httptest.NewRecorder()
	handler(t, &monitor{}, secret).ServeHTTP(rec, httptest.NewRequest("POST", "/dev/token", strings.NewReader(`{"name":" Ada  Lovelace "}`)))
	var got map[string]string
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != 200 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if got["userId"] != "ada-lovelace" || got["username"] != "Ada Lovelace" || strings.Count(got["token"], ".") != 2 || got["expiresAt"] == "" {
		t.Errorf("got %v", got)
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	for origin, want := range map[string]string{"https://chat.example": "https://chat.example", "https://evil.example": ""} {
		rec, req := httptest.NewRecorder(), httptest.NewRequest("GET", "/websocket/health", nil)
		req.Header.Set("Origin", origin)
		handler(t, &monitor{status: "200"}, "").ServeHTTP(rec, req)
		if got := rec.Header().Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("%s: allowed %q", origin, got)
		}
		req.Method = "OPTIONS"
		req.Header.Set("Access-Control-Request-Method", "GET")
		rec = httptest.NewRecorder()
		handler(t, &monitor{}, "").ServeHTTP(rec, req)
		if got := rec.Header().Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("preflight of %s: allowed %q", origin, got)
		}
	}
}

// What clients read of a healthy answer is there, and null if it is unknown.
func TestHealthWithoutMonitorHasEveryMember(t *testing.T) {
	t.Parallel()
	rec := httptest.NewRecorder()
	handler(t, &monitor{err: nats.ErrNoResponders}, "").ServeHTTP(rec, httptest.NewRequest("GET", "/websocket/health", nil))
	var body map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	for member, inner := range map[string][]string{
		"websocket":  {"namespace", "corsOrigin", "connectedUsers", "activeRooms", "totalTypingUsers"},
		"features":   {"detailedLogging", "metrics", "heartbeat"},
		"rateLimits": {"windowMs", "maxMessagesPerWindow", "maxJoinsPerWindow", "maxTypingEventsPerWindow"},
	} {
		object, _ := body[member].(map[string]any)
		for _, name := range inner {
			if value, there := object[name]; !there || value != nil {
				t.Errorf("%s.%s: %v, there %v", member, name, value, there)
			}
		}
	}
}
