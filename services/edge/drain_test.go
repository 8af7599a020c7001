package edge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
)

func TestDrain(t *testing.T) {
	t.Parallel()
	w := start(t, "DRAIN_WINDOW=2s")
	const n = 20
	var all []*client
	for i := range n {
		c := w.dial(fmt.Sprint("user", i))
		c.join("r")
		all = append(all, c)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- w.stop() }()
	for _, c := range all {
		if b := c.event("reconnectSoon", 1); b.AfterMs == nil || *b.AfterMs > 2000 {
			t.Errorf("reconnectSoon %+v", b)
		}
	}
	if _, err := w.tryDial(token("late", time.Hour)); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a new client during the drain: %v", err)
	}
	for _, c := range all {
		if end := c.ended(); end.code != 1012 {
			t.Errorf("ended %+v", end)
		}
	}
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	leaves := w.owner.SeenOp("leave")
	if len(leaves) != n {
		t.Errorf("%d leaves before the edge was gone, want %d", len(leaves), n)
	}
	for _, l := range leaves {
		if l.Text != "30000" {
			t.Errorf("leave %+v", l)
		}
	}
}

// The drain ends as soon as the last client has moved; without clients it ends at once.
func TestDrainEndsWhenNobodyIsLeft(t *testing.T) {
	t.Parallel()
	w := start(t, "DRAIN_WINDOW=50s")
	a := w.dial("ann")
	stopped := make(chan error, 1)
	go func() { stopped <- w.stop() }()
	a.event("reconnectSoon", 1)
	_ = a.nc.Close()
	if err := eventually.Receive(t, "the end of the drain", stopped); err != nil {
		t.Fatal(err)
	}
}

// A client that reads nothing and answers nothing does not hold up the end.
func TestDrainDoesNotWaitForTheDead(t *testing.T) {
	t.Parallel()
	w := start(t, "DRAIN_WINDOW=0s")
	a := w.dial("ann")
	a.join("r")
	w.gate.Cut() // nor for NATS
	stopped := make(chan error, 1)
	go func() { stopped <- w.stop() }()
	eventually.Receive(t, "the end of the drain", stopped)
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	w := start(t, "READY_NATS_GRACE=50ms")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.admin.Serve(ctx, ln) }()
	defer func() { cancel(); <-served }()
	ready := func() string { return get(t, "http://"+ln.Addr().String()+"/readyz") }
	eventually.True(t, "it is ready", func() bool { return strings.HasPrefix(ready(), "200") })
	w.gate.Cut()
	eventually.True(t, "it is not ready without NATS", func() bool { return strings.HasPrefix(ready(), "503") })
	w.gate.Open()
	eventually.True(t, "it is ready again", func() bool { return strings.HasPrefix(ready(), "200") })
	if got := get(t, "http://"+ln.Addr().String()+"/livez"); !strings.HasPrefix(got, "200") {
		t.Errorf("livez: %s", got)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if got := ready(); !strings.HasPrefix(got, "503") || !strings.Contains(got, "draining") {
		t.Errorf("after the end: %s", got)
	}
}

func TestClosesWhenCutOffForTooLong(t *testing.T) {
	t.Parallel()
	w := start(t, "EDGE_NATS_LOST_CLOSE=1s", "DRAIN_WINDOW=0s")
	a := w.dial("ann")
	a.join("r")
	w.gate.Cut()
	if end := a.ended(); end.code != 1012 {
		t.Errorf("ended %+v", end)
	}
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	w := start(t)
	monitor := natstest.Conn(t, w.srv)
	if _, err := monitor.Subscribe(subject.APIStats, func(m *nats.Msg) {
		_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"Status": {"200"}}, Data: []byte(`{"cursor":"` + string(m.Data) + `"}`)})
	}); err != nil {
		t.Fatal(err)
	}
	if err := monitor.Flush(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/websocket/stats?cursor=abc": `200 {"cursor":"abc"}`,
		"/websocket/health":           `503 {"status":"unhealthy"`,
		"/":                           `200 <!doctype html>`,
		"/nothing":                    `404 `,
		"/metrics":                    `404 `,
		"/debug/pprof/":               `404 `,
		"/ws":                         `426 {"success":false`,
		"/conformance/echo":           `404 `,
	} {
		if got := w.get(path); !strings.HasPrefix(strings.ToLower(got), want) {
			t.Errorf("%s: %.100s", path, got)
		}
	}
	resp, err := http.Post("http://"+w.addr+"/dev/token", "application/json", strings.NewReader(`{"name":"Ann"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	w.dialToken(answer.Token).join("r")
}

func (w *world) get(path string) string {
	w.tb.Helper()
	return get(w.tb, "http://"+w.addr+path)
}

func get(tb testing.TB, url string) string {
	tb.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: eventually.Patience()}
	resp, err := c.Get(url)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return fmt.Sprint(resp.StatusCode, " ", string(b))
}

func TestConformanceDoor(t *testing.T) {
	t.Parallel()
	w := start(t, "EDGE_CONFORMANCE=true")
	if got := w.get("/conformance/echo"); !strings.HasPrefix(got, "426") {
		t.Errorf("%.100s", got)
	}
}

// The heartbeat and telemetry that the edge publishes for the monitor and the owners.
func TestHeartbeatAndTelemetry(t *testing.T) {
	t.Parallel()
	w := start(t, "LIMIT_MESSAGES=10")
	var beats = make(chan wire.Heartbeat, 100)
	var counts = make(chan wire.Telemetry, 100)
	nc := natstest.Conn(t, w.srv)
	listenTo(t, nc, subject.HeartbeatOf("edge"), beats)
	listenTo(t, nc, subject.TelemetryAll, counts)
	a, b := w.dial("ann"), w.dial("ann")
	a.join("r")
	b.join("r")
	w.dial("bob").join("s")
	a.ask("sendMessage", `{"roomId":"r","content":"x"}`)
	a.ask("sendMessage", `{"roomId":"r","content":"x"}`)
	for hb := range beats {
		if hb.Service != "edge" || hb.Edge == nil {
			t.Fatalf("heartbeat %+v", hb)
		}
		want := wire.EdgeLoad{Connections: 3, Users: 2, Rooms: 2, Memberships: 3}
		if *hb.Edge == want && hb.State == wire.StateOK {
			break
		}
	}
	w.owner.SilenceOp("take")
	a.ask("sendMessage", `{"roomId":"r","content":"x"}`)
	for hb := range beats {
		if hb.Edge.Fallback && hb.State == wire.StateDegraded && hb.Note != "" {
			break
		}
	}
	w.owner.Deny(time.Second)
	w.owner.SilenceOp("")
	eventually.True(t, "a refusal", func() bool {
		return a.ask("sendMessage", `{"roomId":"r","content":"x"}`).body(t).Error == string(code.RateLimited)
	})
	for tel := range counts {
		if tel.Counters[wire.CountViolations] == 0 {
			continue
		}
		if tel.Counters[wire.CountConnections] != 3 || tel.Counters[wire.CountDelivered] < 4 || tel.Counters[wire.CountFallback] == 0 ||
			tel.Latency[wire.LatencyAccept].Count == 0 && tel.Latency[wire.LatencyPermit].Count == 0 || tel.Config == nil {
			t.Errorf("telemetry %+v", tel)
		}
		break
	}
	go func() { _ = w.stop() }()
	for seen := map[wire.State]bool{}; !seen[wire.StateStopped]; {
		seen[(<-beats).State] = true
	}
}

func listenTo[T any](t *testing.T, nc *nats.Conn, subj string, to chan T) {
	t.Helper()
	_, err := nc.Subscribe(subj, func(m *nats.Msg) {
		var v T
		if err := json.Unmarshal(m.Data, &v); err != nil {
			t.Errorf("%s: %v", subj, err)
		}
		to <- v
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
}
