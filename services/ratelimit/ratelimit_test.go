package ratelimit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/grpc/test/bufconn"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/ratelimit"
	"github.com/confab-chat/confab/shared/admin"
	"github.com/confab-chat/confab/shared/config"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/lifecycle"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/shared/telemetry"
)

// instance is a running ratelimit.
type instance struct {
	lifecycle.Deps
	stop   func()            // and wait; may be called again
	probes *bufconn.Listener // of the probes and metrics: virtual time needs one in memory
}

func start(t *testing.T, provider nats.InProcessConnProvider, environ ...string) *instance {
	t.Helper()
	cfg, err := config.Load[ratelimit.Config](environ)
	if err != nil {
		t.Fatal(err)
	}
	tel, err := telemetry.New(t.Context(), telemetry.Options{Service: wire.ServiceRateLimit, Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	ln := bufconn.Listen(64 << 10)
	in := &instance{
		Deps: lifecycle.Deps{
			Identity: lifecycle.NewIdentity(wire.ServiceRateLimit, "1.2.3"),
			NATS:     provider, Telemetry: tel, Admin: admin.New(),
		},
		probes: ln,
	}
	in.Admin.Metrics(tel.Gatherer)
	ctx, cancel := context.WithCancel(context.Background())
	probes, endProbes := context.WithCancel(context.Background())
	var service, listener sync.WaitGroup
	listener.Go(func() { _ = in.Admin.Serve(probes, ln) })
	service.Go(func() {
		if err := ratelimit.Run(ctx, cfg, in.Deps); err != nil {
			t.Error(err)
		}
	})
	in.stop = func() { cancel(); service.Wait() }
	t.Cleanup(func() {
		in.stop()
		endProbes()
		listener.Wait()
		_ = tel.Shutdown(context.Background())
	})
	return in
}

// get is the status and body of a page of the admin listener.
func (in *instance) get(t *testing.T, path string) (int, string) {
	t.Helper()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return in.probes.DialContext(ctx) }
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}, Timeout: 5 * time.Second}
	r, err := client.Get("http://ratelimit" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

// take asks for a permit to send; false also without an answer.
func take(t *testing.T, nc *nats.Conn, user string) (wire.Taken, bool) {
	t.Helper()
	m, err := nc.Request(subject.Limit(subject.Shard(user), subject.OpTake),
		wire.Marshal(&wire.Take{User: user, Action: wire.ActionMessage}), time.Second)
	if err != nil {
		return wire.Taken{}, false
	}
	var taken wire.Taken
	if err := wire.Unmarshal(m.Data, &taken); err != nil {
		t.Fatal(err)
	}
	return taken, taken.Code == ""
}

// owned waits until every shard has an owner who answers.
func owned(t *testing.T, nc *nats.Conn) {
	t.Helper()
	for shard := range subject.Shards {
		for n := 0; ; n++ {
			user := fmt.Sprint("probe", n)
			if subject.Shard(user) != shard {
				continue
			}
			eventually.True(t, fmt.Sprint("an owner of shard ", shard), func() bool {
				_, ok := take(t, nc, user)
				return ok
			})
			break
		}
	}
}

// listener keeps the last heartbeat and telemetry of each instance.
type listener struct {
	mu        sync.Mutex
	beats     map[string]wire.Heartbeat
	telemetry map[string]wire.Telemetry
}

func listen(t *testing.T, nc *nats.Conn) *listener {
	t.Helper()
	h := &listener{beats: map[string]wire.Heartbeat{}, telemetry: map[string]wire.Telemetry{}}
	for _, all := range []string{subject.HeartbeatAll, subject.TelemetryAll} {
		if _, err := nc.Subscribe(all, func(m *nats.Msg) {
			h.mu.Lock()
			defer h.mu.Unlock()
			var hb wire.Heartbeat
			var tel wire.Telemetry
			if strings.HasPrefix(m.Subject, strings.TrimSuffix(subject.HeartbeatAll, ">")) {
				if json.Unmarshal(m.Data, &hb) == nil {
					h.beats[hb.Instance] = hb
				}
			} else if json.Unmarshal(m.Data, &tel) == nil {
				h.telemetry[tel.Instance] = tel
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *listener) lastBeat(instance string) wire.Heartbeat {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.beats[instance]
}

func (h *listener) lastTelemetry(instance string) wire.Telemetry {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.telemetry[instance]
}

func TestOneInstance(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		server := natstest.Start(t)
		nc := server.Conn(t)
		heard := listen(t, nc)
		in := start(t, server, "CONFAB_ENV=test", "CONFAB_LIMIT_MESSAGES=3")
		owned(t, nc)
		granted := 0
		for range 10 {
			taken, ok := take(t, nc, "ann")
			switch {
			case !ok:
				t.Fatalf("%+v", taken)
			case taken.OK:
				granted++
			case taken.RetryAfterMs == 0 || taken.RetryAfterMs > 60_000:
				t.Errorf("retry after %d ms", taken.RetryAfterMs)
			}
		}
		if granted != 3 {
			t.Errorf("%d granted, want 3", granted)
		}
		eventually.True(t, "a heartbeat with all shards", func() bool {
			hb := heard.lastBeat(in.Instance)
			return hb.Limit != nil && len(hb.Limit.Shards) == subject.Shards && hb.Limit.Keys > 0 && hb.State == wire.StateOK
		})
		eventually.True(t, "telemetry with what was counted", func() bool {
			tel := heard.lastTelemetry(in.Instance)
			return tel.Counters[wire.CountDenials] == 7 && tel.Counters[wire.CountPermits] >= 10 &&
				tel.Limits != nil && *tel.Limits == wire.LimitConfig{WindowMs: 60_000, Messages: 3, Joins: 5, Typing: 20}
		})
		if status, text := in.get(t, "/readyz"); status != http.StatusOK {
			t.Errorf("not ready: %d %s", status, text)
		}
		_, text := in.get(t, "/metrics")
		for _, want := range []string{
			`chat_ratelimit_decisions_total{chat_limit="message",outcome="deny"`, "chat_ratelimit_keys{", "chat_nats_connected{",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no metric %s", want)
			}
		}
		if strings.Contains(text, "ann") {
			t.Error("a user stands in the metrics")
		}
		in.stop()
		if hb := heard.lastBeat(in.Instance); hb.State != wire.StateStopped {
			eventually.True(t, "a last heartbeat", func() bool { return heard.lastBeat(in.Instance).State == wire.StateStopped })
		}
		if status, _ := in.get(t, "/readyz"); status != http.StatusServiceUnavailable {
			t.Errorf("ready after the stop: %d", status)
		}
	})
}

// Two instances share the shards; when one stops the other one has them all.
func TestHandOver(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		server := natstest.Start(t)
		nc := server.Conn(t)
		heard := listen(t, nc)
		one := start(t, server, "CONFAB_LIMIT_MESSAGES=1000000")
		owned(t, nc)
		other := start(t, server, "CONFAB_LIMIT_MESSAGES=1000000")
		share := func(in *instance) int {
			if load := heard.lastBeat(in.Instance).Limit; load != nil {
				return len(load.Shards)
			}
			return 0
		}
		eventually.True(t, "an even share", func() bool {
			a, b := share(one), share(other)
			return a+b == subject.Shards && a > 16 && b > 16
		})
		one.stop()
		owned(t, nc)
		eventually.True(t, "all shards with the survivor", func() bool { return share(other) == subject.Shards })
	})
}

// NATS is absent at first, and goes away later.
func TestNATSAway(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		server := natstest.Start(t)
		gate := server.Gate(t)
		gate.Cut()
		in := start(t, gate, "CONFAB_READY_NATS_GRACE=1ms")
		// The probes are served before Run has registered its check.
		eventually.True(t, "not ready without NATS", func() bool {
			status, _ := in.get(t, "/readyz")
			return status == http.StatusServiceUnavailable
		})
		if status, _ := in.get(t, "/livez"); status != http.StatusOK {
			t.Errorf("not live without NATS: %d", status)
		}
		gate.Open()
		nc := server.Conn(t)
		owned(t, nc)
		if status, text := in.get(t, "/readyz"); status != http.StatusOK {
			t.Errorf("not ready with NATS: %d %s", status, text)
		}
		gate.Cut()
		eventually.True(t, "not ready", func() bool {
			status, _ := in.get(t, "/readyz")
			return status == http.StatusServiceUnavailable
		})
		gate.Open()
		owned(t, nc)
	})
}

func TestSettings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		environ []string
		want    [3]int
		refused []string
	}{
		{"default", nil, [3]int{60, 20, 120}, nil},
		{"production", []string{"CONFAB_ENV=production"}, [3]int{30, 10, 60}, nil},
		{"test", []string{"CONFAB_ENV=test"}, [3]int{10, 5, 20}, nil},
		{"overrides", []string{"CONFAB_ENV=production", "CONFAB_LIMIT_MESSAGES=5000", "CONFAB_LIMIT_TYPING=1"}, [3]int{5000, 10, 1}, nil},
		{"unlimited", []string{"CONFAB_LIMIT_MESSAGES=0", "CONFAB_LIMIT_JOINS=0", "CONFAB_LIMIT_TYPING=0"}, [3]int{0, 0, 0}, nil},
		{
			"unlimited in production",
			[]string{"CONFAB_ENV=production", "CONFAB_LIMIT_MESSAGES=0", "CONFAB_LIMIT_TYPING=0"},
			[3]int{}, []string{"CONFAB_LIMIT_MESSAGES", "CONFAB_LIMIT_TYPING"},
		},
		{"negative", []string{"CONFAB_LIMIT_JOINS=-1"}, [3]int{}, []string{"CONFAB_LIMIT_JOINS"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := config.Load[ratelimit.Config](test.environ)
			if _, wrong := errors.AsType[*config.Error](err); wrong != (test.refused != nil) {
				t.Fatalf("error %v", err)
			}
			for _, name := range test.refused {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("%q does not name %s", err, name)
				}
			}
			if got := [3]int{cfg.Messages, cfg.Joins, cfg.Typing}; err == nil && got != test.want {
				t.Errorf("limits %v, want %v", got, test.want)
			}
			if err == nil && cfg.AdminAddr != "127.0.0.1:9103" {
				t.Errorf("admin listener %s", cfg.AdminAddr)
			}
		})
	}
}

func TestNoCredentials(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load[ratelimit.Config](nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.NATSCredsFile = "/does/not/exist"
	tel, err := telemetry.New(t.Context(), telemetry.Options{Service: "ratelimit", Log: io.Discard, NoMetrics: true})
	if err != nil {
		t.Fatal(err)
	}
	err = ratelimit.Run(t.Context(), cfg, lifecycle.Deps{
		Identity: lifecycle.NewIdentity("ratelimit", ""), Telemetry: tel, Admin: admin.New(),
	})
	if err == nil {
		t.Error("no error without a credentials file")
	}
}
