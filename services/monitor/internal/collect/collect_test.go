package collect_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/monitor/internal/api"
	"github.com/confab-chat/confab/services/monitor/internal/collect"
	"github.com/confab-chat/confab/services/monitor/internal/collect/collecttest"
	"github.com/confab-chat/confab/services/monitor/internal/fleet"
	"github.com/confab-chat/confab/shared/natstest"
)

func health(t *testing.T, c *collect.Collector) (int, api.Health) {
	t.Helper()
	a := c.Health()
	var h api.Health
	if err := json.Unmarshal(a.Body, &h); err != nil {
		t.Fatal(err)
	}
	return a.Status, h
}

func stats(t *testing.T, c *collect.Collector) api.Stats {
	t.Helper()
	a := c.Stats("")
	var s api.Stats
	if err := json.Unmarshal(a.Body, &s); err != nil || a.Status != http.StatusOK {
		t.Fatalf("status %d: %v", a.Status, err)
	}
	return s
}

// Instances publish heartbeats; then one falls silent, and another one stops.
func TestWholeLife(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		c, server := collecttest.Start(t)
		all := collecttest.Cluster(t, server.Conn(t))
		collecttest.Until(t, all, "healthy and complete", func() bool {
			status, h := health(t, c)
			return status == http.StatusOK && h.Status == api.Healthy && h.Complete
		})
		s := stats(t, c)
		if !s.Complete || *s.Connections.Current != 12 || *s.Connections.Total != 15 ||
			*s.Messages.TotalProcessed != 120 || len(s.Instances) != 4 {
			t.Errorf("stats %+v", s)
		}

		// Silent: listed, marked, its load kept.
		silent, rest := all[2], append(all[:2:2], all[3])
		silent.Publish()
		last := time.Now()
		collecttest.Until(t, rest, "ratelimit stale", func() bool {
			_, h := health(t, c)
			for _, service := range h.Services {
				if service.Service == silent.Heartbeat.Service && service.Status.Silent() {
					return h.Status == api.Degraded && !h.Complete
				}
			}
			return false
		})

		if took := time.Since(last); took <= fleet.StaleAfter || took > fleet.StaleAfter+time.Second {
			t.Errorf("stale %v after the last heartbeat", took)
		}

		// The only edge stops: it leaves the list at once, and the cluster is unhealthy.
		edge := all[0]
		edge.Heartbeat.State = wire.StateStopped
		edge.Publish()
		collecttest.Until(t, rest[1:], "unhealthy", func() bool {
			status, h := health(t, c)
			return status == http.StatusServiceUnavailable && h.Status == api.Unhealthy && h.Services[0].Service != wire.ServiceEdge
		})
	})
}

// NATS stops and restarts: no instance is dropped meanwhile.
func TestNATSLost(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		server := natstest.Start(t)
		gate := server.Gate(t)
		c := collecttest.Run(t, gate.Conn(t))
		all := collecttest.Cluster(t, server.Conn(t))
		collecttest.Until(t, all, "all four heard", func() bool { return len(stats(t, c).Instances) == 4 })
		gate.Cut()
		disconnected := func() bool {
			_, h := health(t, c)
			return strings.Contains(strings.Join(h.Notes, "\n"), "disconnected from NATS")
		}
		collecttest.Until(t, all, "a note about NATS", disconnected)
		if s := stats(t, c); s.Complete || len(s.Instances) != 4 {
			t.Errorf("disconnected: complete %v, %d instances", s.Complete, len(s.Instances))
		}
		gate.Open()
		collecttest.Until(t, all, "heard again", func() bool {
			_, h := health(t, c)
			return !disconnected() && h.Status == api.Healthy
		})
	})
}

// An instance cannot publish for another one, and malformed messages are counted.
func TestForeignWords(t *testing.T) {
	t.Parallel()
	c, server := collecttest.Start(t)
	nc := server.Conn(t)
	beat, err := json.Marshal(wire.Heartbeat{Service: wire.ServiceRoom, Instance: "r", Seq: 1, State: wire.StateOK})
	if err != nil {
		t.Fatal(err)
	}
	messages := []struct {
		subject string
		data    []byte
	}{
		{subject.Heartbeat(wire.ServiceEdge, "r"), beat},
		{subject.Heartbeat(wire.ServiceRoom, "s"), beat},
		{subject.Telemetry(wire.ServiceRoom, "s"), beat},
		{subject.Heartbeat(wire.ServiceRoom, "r"), []byte("{")},
		{subject.Heartbeat(wire.ServiceRoom, "r"), nil},
		{subject.Heartbeat(wire.ServiceRoom, "r"), []byte(`{"service":"room","instance":"r","seq":-1}`)},
	}
	for _, w := range messages {
		if err := nc.Publish(w.subject, w.data); err != nil {
			t.Fatal(err)
		}
	}
	collecttest.Until(t, nil, "all refused", func() bool { return c.Rejected() == uint64(len(messages)) })
	if s := stats(t, c); len(s.Instances) != 0 {
		t.Errorf("instances %+v", s.Instances)
	}
}

func TestBadCursor(t *testing.T) {
	t.Parallel()
	c, _ := collecttest.Start(t)
	a := c.Stats("%%%")
	var failure struct {
		Success bool
		Error   code.Code
		Ref     string
	}
	if err := json.Unmarshal(a.Body, &failure); err != nil {
		t.Fatal(err)
	}
	if a.Status != http.StatusBadRequest || failure.Success || failure.Error != code.BadRequest || failure.Ref == "" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestClosedConnection(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Conn(t)
	nc.Close()
	if err := collect.New(nc, slog.New(slog.DiscardHandler)).Run(t.Context()); err == nil {
		t.Error("no error on a closed connection")
	}
}

// BenchmarkTake decodes and folds one second of a thousand instances: a heartbeat
// each, and the telemetry of a fifth of them.
func BenchmarkTake(b *testing.B) {
	c := collect.New(natstest.Start(b).Conn(b), slog.New(slog.DiscardHandler))
	all := make([]*collecttest.Instance, 1000)
	for i := range all {
		all[i] = collecttest.NewInstance(b, nil, wire.ServiceEdge, fmt.Sprint("edge-", i))
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		var messages []*nats.Msg
		for i, in := range all {
			beat, telemetry := in.Messages()
			messages = append(messages, beat)
			if i%5 == 0 {
				messages = append(messages, telemetry)
			}
		}
		b.StartTimer()
		for _, m := range messages {
			collect.Take(c, m)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1200, "ns/word")
}
