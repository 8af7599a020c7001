package natsconn_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natsconn"
	"github.com/confab-chat/confab/shared/natstest"
)

// logged collects log lines.
type logged struct {
	mu    sync.Mutex // guards text
	text  strings.Builder
	level slog.Level
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// lines is how many have the message.
func (l *logged) lines(msg string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), `"msg":"`+msg)
}

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: l.level}))
}

func connect(t *testing.T, o natsconn.Options) *nats.Conn {
	t.Helper()
	o.Service = "edge"
	nc, err := natsconn.Connect(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestConnectBeforeNATSIsThere(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	srv.Stop()
	var status natsconn.Status
	log := &logged{level: slog.LevelInfo}
	nc := connect(t, natsconn.Options{InProcess: srv, Status: &status, Logger: log.logger()})
	if st := status.State(); st.Up() || st.Ever || st.Open != 1 || st.LostFor(time.Now().Add(time.Minute)) < time.Minute {
		t.Errorf("without a server: %+v", st)
	}
	if err := nc.Publish("x", nil); !errors.Is(err, nats.ErrReconnectBufExceeded) {
		t.Errorf("publishing without a server gives %v; it must not look successful", err)
	}

	srv.Restart(t)
	eventually.True(t, "up", func() bool { return status.State().Up() })
	if st := status.State(); !st.Ever || st.LostFor(time.Now()) != 0 || status.Reconnects() != 0 {
		t.Errorf("up: %+v, %d reconnects", st, status.Reconnects())
	}
	eventually.True(t, "log lines", func() bool { return log.lines("nats connected") == 1 })
	if n := log.lines("nats cannot be reached"); n != 1 {
		t.Errorf("%d lines about one outage", n)
	}
}

func TestOutage(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	var status natsconn.Status
	log := &logged{level: slog.LevelInfo}
	one := connect(t, natsconn.Options{InProcess: srv, Status: &status, Logger: log.logger()})
	gate := srv.Gate(t)
	connect(t, natsconn.Options{InProcess: gate, Status: &status, Logger: log.logger()})
	eventually.True(t, "both up", func() bool { return status.State().Up() })
	if st := status.State(); st.Open != 2 || st.Connected != 2 {
		t.Fatalf("two connections: %+v", st)
	}

	gate.Cut()
	eventually.True(t, "one lost", func() bool { return status.State().Connected == 1 })
	if st := status.State(); st.Up() || !st.Ever || st.LostFor(time.Now().Add(time.Minute)) < time.Minute {
		t.Errorf("one of two lost: %+v", st)
	}
	gate.Open()
	eventually.True(t, "up again", func() bool { return status.State().Up() })
	if n := status.Reconnects(); n != 1 {
		t.Errorf("%d reconnects", n)
	}
	eventually.True(t, "the log lines", func() bool {
		return log.lines("nats connection lost") == 1 && log.lines("nats reconnected") == 1
	})

	one.Close()
	eventually.True(t, "closed", func() bool { return status.State().Open == 1 })
	if log.lines("nats connection lost") != 1 {
		t.Error("our own Close is logged as a loss")
	}
}

func TestRefusedCredentialsAreTriedAgain(t *testing.T) {
	t.Parallel()
	// Over TCP: on a pipe without a buffer, a refusal and what the client still
	// writes wait for each other until the server's write deadline of 10 s.
	srv := natstest.Start(t, natstest.Listen, func(o *server.Options) { o.Username, o.Password = "u", "p" })
	log := &logged{level: slog.LevelInfo}
	nc := connect(t, natsconn.Options{URL: srv.URL(), Logger: log.logger(),
		Extra: []nats.Option{nats.UserInfo("u", "wrong")}})
	// The library gives up at the second refusal by default.
	eventually.True(t, "three attempts", func() bool { return attempts(srv) >= 3 })
	if nc.IsClosed() {
		t.Error("closed for ever")
	}
	if n := log.lines("nats cannot be reached"); n != 1 {
		t.Errorf("%d lines about one reason", n)
	}
}

// attempts is how many connections the server has accepted, refused ones too.
func attempts(srv *natstest.Server) uint64 {
	v, err := srv.NATS().Varz(nil)
	if err != nil {
		return 0
	}
	return v.TotalConnections
}

func TestConnectErrors(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	for name, o := range map[string]natsconn.Options{
		"no service":     {URL: "nats://127.0.0.1:1"},
		"no credentials": {Service: "edge", URL: "nats://127.0.0.1:1", CredsFile: missing},
		"bad address":    {Service: "edge", URL: "nats://127.0.0.1:port"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if nc, err := natsconn.Connect(o); err == nil {
				nc.Close()
				t.Error("connected")
			}
		})
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	nc := connect(t, natsconn.Options{InProcess: natstest.Start(t), Instance: "e1", Role: "intake-0"})
	o := nc.Opts
	if o.Name != "confab edge e1 intake-0" || !strings.HasPrefix(nc.NewInbox(), "_INBOX_edge.") {
		t.Errorf("name %q, inbox %q", o.Name, nc.NewInbox())
	}
	if o.MaxReconnect != -1 || o.ReconnectBufSize != -1 || !o.RetryOnFailedConnect || !o.IgnoreAuthErrorAbort ||
		o.PingInterval != 5*time.Second || o.MaxPingsOut != 2 || o.DrainTimeout != 5*time.Second {
		t.Errorf("settings %+v", o)
	}
	var longest time.Duration
	for attempt := range 10_000 {
		d := o.CustomReconnectDelayCB(attempt)
		if d < 0 || d >= 5*time.Second || attempt <= 1 && d >= 100*time.Millisecond {
			t.Fatalf("attempt %d after %s", attempt, d)
		}
		longest = max(longest, d)
	}
	if longest < 4*time.Second { // the chance of that is 0.8^10000
		t.Errorf("the longest delay is %s", longest)
	}
}

func TestDropsAreCounted(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	var status natsconn.Status
	log := &logged{level: slog.LevelInfo}
	nc := connect(t, natsconn.Options{InProcess: srv, Status: &status, Logger: log.logger()})
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	if err := status.Register(provider.Meter("test")); err != nil {
		t.Fatal(err)
	}
	full := make(chan *nats.Msg, 3)
	sub, err := nc.ChanSubscribe("x", full)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := nc.Publish("x", nil); err != nil {
			t.Fatal(err)
		}
	}
	eventually.True(t, "seven drops", func() bool { return status.Dropped() == 7 })
	eventually.True(t, "a log line", func() bool { return log.lines("nats messages dropped") == 1 })
	if got := collect(t, reader); got["chat.nats.dropped"] != 7 || got["chat.nats.connected"] != 1 || got["chat.nats.reconnects"] != 0 {
		t.Errorf("metrics %v", got)
	}

	if err := sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	if n := status.Dropped(); n != 7 {
		t.Errorf("%d drops after the subscription has gone", n)
	}
}

func collect(t *testing.T, r sdkmetric.Reader) map[string]int64 {
	t.Helper()
	var data metricdata.ResourceMetrics
	if err := r.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int64)
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Gauge[int64]:
				got[m.Name] = d.DataPoints[0].Value
			case metricdata.Sum[int64]:
				got[m.Name] = d.DataPoints[0].Value
			}
			if m.Description == "" || m.Unit == "" {
				t.Errorf("%s has no help or no unit", m.Name)
			}
		}
	}
	return got
}

func TestLimitPending(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Conn(t)
	sub, err := nc.Subscribe("x", func(*nats.Msg) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := natsconn.LimitPending(sub); err != nil {
		t.Fatal(err)
	}
	if n, bytes, err := sub.PendingLimits(); n != natsconn.PendingMessages || bytes != natsconn.PendingBytes || err != nil {
		t.Errorf("limits %d, %d: %v", n, bytes, err)
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	t.Run("handlers finish", func(t *testing.T) {
		t.Parallel()
		nc := connect(t, natsconn.Options{InProcess: natstest.Start(t)})
		seen := make(chan struct{}, 100)
		if _, err := nc.Subscribe("x", func(*nats.Msg) { seen <- struct{}{} }); err != nil {
			t.Fatal(err)
		}
		for range cap(seen) {
			if err := nc.Publish("x", nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := nc.Flush(); err != nil { // they have reached the server, and come back
			t.Fatal(err)
		}
		if err := natsconn.Drain(t.Context(), nc); err != nil || !nc.IsClosed() {
			t.Errorf("drain: %v, closed %t", err, nc.IsClosed())
		}
		if len(seen) != cap(seen) {
			t.Errorf("%d of %d handled", len(seen), cap(seen))
		}
		if err := natsconn.Drain(t.Context(), nc); err != nil {
			t.Errorf("twice: %v", err)
		}
	})
	t.Run("no server", func(t *testing.T) {
		t.Parallel()
		srv := natstest.Start(t)
		srv.Stop()
		nc := connect(t, natsconn.Options{InProcess: srv})
		if err := natsconn.Drain(t.Context(), nc); err != nil || !nc.IsClosed() {
			t.Errorf("drain: %v, closed %t", err, nc.IsClosed())
		}
	})
	t.Run("deadline", func(t *testing.T) {
		t.Parallel()
		nc := connect(t, natsconn.Options{InProcess: natstest.Start(t)})
		busy, free := make(chan struct{}), make(chan struct{})
		defer close(free)
		if _, err := nc.Subscribe("x", func(*nats.Msg) { close(busy); <-free }); err != nil {
			t.Fatal(err)
		}
		if err := nc.Publish("x", nil); err != nil {
			t.Fatal(err)
		}
		<-busy
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(io.ErrShortBuffer)
		if err := natsconn.Drain(ctx, nc); !errors.Is(err, io.ErrShortBuffer) || !nc.IsClosed() {
			t.Errorf("drain: %v, closed %t", err, nc.IsClosed())
		}
	})
}
