package monitor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/grpc/test/bufconn"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/monitor"
	"github.com/confab-chat/confab/services/monitor/internal/api"
	"github.com/confab-chat/confab/services/monitor/internal/collect/collecttest"
	"github.com/confab-chat/confab/shared/admin"
	"github.com/confab-chat/confab/shared/config"
	"github.com/confab-chat/confab/shared/lifecycle"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/shared/telemetry"
)

// instance is a running monitor. It listens in memory, because time stands still in a bubble
// while a goroutine waits for a socket.
type instance struct {
	t    *testing.T
	ln   *bufconn.Listener
	stop func() // and wait; may be called again
}

func deps(t *testing.T, provider nats.InProcessConnProvider) lifecycle.Deps {
	t.Helper()
	tel, err := telemetry.New(t.Context(), telemetry.Options{Service: wire.ServiceMonitor, Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	return lifecycle.Deps{
		Identity: lifecycle.NewIdentity(wire.ServiceMonitor, "1.2.3"),
		NATS:     provider, Telemetry: tel, Admin: admin.New(),
	}
}

func settings(t *testing.T, environ ...string) monitor.Config {
	t.Helper()
	cfg, err := config.Load[monitor.Config](environ)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func start(t *testing.T, provider nats.InProcessConnProvider, environ ...string) *instance {
	t.Helper()
	cfg := settings(t, environ...)
	ctx, cancel := context.WithCancel(context.Background())
	d, ln := deps(t, provider), bufconn.Listen(64<<10)
	d.OpenListener = func(string, string) (net.Listener, error) { return ln, nil }
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := monitor.Run(ctx, cfg, d); err != nil {
			t.Error(err)
		}
	})
	in := &instance{t: t, ln: ln, stop: func() { cancel(); wg.Wait() }}
	t.Cleanup(in.stop)
	collecttest.Until(t, nil, "an answer", func() bool { code, _ := in.get("/livez"); return code == http.StatusOK })
	return in
}

// get returns the status and body of a page; 0 if there is no answer.
func (in *instance) get(path string) (int, []byte) {
	in.t.Helper()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return in.ln.DialContext(ctx) }
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}, Timeout: 5 * time.Second}
	r, err := client.Get("http://monitor" + path)
	if err != nil {
		return 0, nil
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, nil
	}
	return r.StatusCode, text
}

func (in *instance) health() (int, api.Health) {
	in.t.Helper()
	code, text := in.get("/websocket/health")
	var h api.Health
	if err := json.Unmarshal(text, &h); err != nil {
		in.t.Fatalf("%d %s: %v", code, text, err)
	}
	return code, h
}

// All of it through the public port: three services publish on NATS, the fourth is
// the monitor itself.
func TestCluster(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		server := natstest.Start(t)
		in := start(t, server)
		nc := server.Conn(t)
		others := collecttest.Cluster(t, nc)[:3]
		collecttest.Until(t, others, "healthy and complete", func() bool {
			code, h := in.health()
			return code == http.StatusOK && h.Status == api.Healthy && h.Complete && len(h.Services) == 4
		})
		code, text := in.get("/websocket/stats")
		var s api.Stats
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(err)
		}
		if code != http.StatusOK || !s.Complete || *s.Connections.Current != 12 || len(s.Missing) != 0 {
			t.Errorf("%d %s", code, text)
		}
		// The edge's port shows the same over NATS.
		m, err := nc.Request(subject.APIHealth, nil, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Get(subject.HeaderStatus) != strconv.Itoa(http.StatusOK) || !strings.Contains(string(m.Data), `"healthy"`) {
			t.Errorf("%v %s", m.Header, m.Data)
		}

		// Ratelimit dies: stale or missing within 7 s of its last heartbeat, with a note.
		var last time.Time
		collecttest.Until(t, others[:2], "ratelimit silent", func() bool {
			_, h := in.health()
			for _, service := range h.Services {
				if service.Service == wire.ServiceRateLimit && service.Status.Silent() {
					last = time.UnixMilli(int64(service.LastSeen))
					if h.Status != api.Degraded || h.Complete {
						t.Errorf("%s, complete %v", h.Status, h.Complete)
					}
					return time.UnixMilli(int64(h.Timestamp)).Sub(last) < 7*time.Second
				}
			}
			return false
		})
	})
}

// The monitor starts before NATS, lives through its loss, and says so.
func TestNATSAway(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		server := natstest.Start(t)
		gate := server.Gate(t)
		gate.Cut()
		in := start(t, gate)
		collecttest.Until(t, nil, "a note about NATS", func() bool {
			_, h := in.health()
			return strings.Contains(fmt.Sprint(h.Notes), "disconnected from NATS") && !h.Complete
		})
		if code, _ := in.get("/readyz"); code != http.StatusServiceUnavailable {
			t.Errorf("ready without NATS: %d", code)
		}
		gate.Open()
		all := collecttest.Cluster(t, server.Conn(t))
		collecttest.Until(t, all, "healthy", func() bool {
			code, h := in.health()
			return code == http.StatusOK && h.Status == api.Healthy
		})
		if code, _ := in.get("/readyz"); code != http.StatusOK {
			t.Errorf("not ready with NATS: %d", code)
		}
		if _, err := server.Conn(t).Request(subject.APIStats, nil, 5*time.Second); err != nil {
			t.Errorf("statistics over NATS: %v", err)
		}
	})
}

// Two monitors see each other, and one that stops leaves the other's list at once.
func TestTwoMonitors(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		server := natstest.Start(t)
		one, other := start(t, server), start(t, server)
		monitors := func(in *instance) (n int) {
			_, h := in.health()
			for _, service := range h.Services {
				if service.Service == wire.ServiceMonitor && service.Status == api.StatusOK {
					n++
				}
			}
			return n
		}
		collecttest.Until(t, nil, "both see two", func() bool { return monitors(one) == 2 && monitors(other) == 2 })
		one.stop()
		collecttest.Until(t, nil, "one left", func() bool {
			_, h := other.health()
			return len(h.Services) == 1
		})
		if code, _ := one.get("/livez"); code != 0 {
			t.Errorf("the stopped monitor answers: %d", code)
		}
	})
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cfg := settings(t, "CONFAB_MONITOR_ADDR="+ln.Addr().String())
	err = monitor.Run(t.Context(), cfg, deps(t, natstest.Start(t)))
	if _, ok := errors.AsType[*lifecycle.IOError](err); !ok || !strings.Contains(err.Error(), "CONFAB_MONITOR_ADDR") {
		t.Errorf("error %v", err)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	cfg := settings(t)
	if cfg.Addr != ":3002" || cfg.AdminAddr != "127.0.0.1:9104" || cfg.AllowedOrigins.String() != "*" {
		t.Errorf("defaults %+v", cfg)
	}
	if cfg = settings(t, "CONFAB_ENV=production"); cfg.AllowedOrigins.String() != "" {
		t.Errorf("origins in production: %q", cfg.AllowedOrigins)
	}
	for _, bad := range [][]string{
		{"CONFAB_MONITOR_ADDR=3002"},
		{"CONFAB_ENV=production", "CONFAB_ALLOWED_ORIGINS=*"},
		{"CONFAB_ALLOWED_ORIGINS=chat.example.com"},
	} {
		if _, err := config.Load[monitor.Config](bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
