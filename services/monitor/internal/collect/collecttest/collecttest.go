// Package collecttest speaks on NATS as the instances of a cluster do, for tests.
package collecttest

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/monitor/internal/collect"
	"github.com/confab-chat/confab/shared/natstest"
)

// Start runs a collector on a server of its own until the test ends.
func Start(tb testing.TB) (*collect.Collector, *natstest.Server) {
	tb.Helper()
	server := natstest.Start(tb)
	return Run(tb, server.Conn(tb)), server
}

// Run runs a collector on nc until the test ends.
func Run(tb testing.TB, nc *nats.Conn) *collect.Collector {
	tb.Helper()
	c := collect.New(nc, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Run(ctx); err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(func() { stop(); wg.Wait() })
	return c
}

// Instance is an instance that speaks when told to.
type Instance struct {
	tb testing.TB
	nc *nats.Conn

	Beat wire.Heartbeat // the next one, but for its Seq
	Tell wire.Telemetry
}

// NewInstance is one of a service with load and counters that a test can tell.
func NewInstance(tb testing.TB, nc *nats.Conn, service, name string) *Instance {
	in := &Instance{
		tb: tb, nc: nc,
		Beat: wire.Heartbeat{
			Service: service, Instance: name, Gen: 1, Version: "1.2.3",
			StartedMs: time.Now().UnixMilli(), State: wire.StateOK,
		},
		Tell: wire.Telemetry{Service: service, Instance: name, Gen: 1, Counters: map[string]uint64{}},
	}
	all := make([]int, subject.Shards)
	for i := range all {
		all[i] = i
	}
	switch service {
	case wire.ServiceEdge:
		in.Beat.Edge = &wire.EdgeLoad{Connections: 12, Users: 10}
		in.Tell.Config = &wire.EdgeConfig{Namespace: "/chat", CORSOrigin: "*", Metrics: true}
		in.Tell.Counters = map[string]uint64{wire.CountConnections: 15, wire.CountViolations: 2}
	case wire.ServiceRoom:
		in.Beat.Room = &wire.RoomLoad{Shards: all, Rooms: 2, Users: 11, Typing: 1}
		in.Tell.Counters = map[string]uint64{wire.CountMessages: 120, wire.CountRoomsCreated: 2}
		in.Tell.Rooms = []wire.RoomDetail{{RoomID: "<img src=x>", UserCount: 3, LastActivityMs: 1}}
	case wire.ServiceRateLimit:
		in.Beat.Limit = &wire.LimitLoad{Shards: all, Keys: 21}
		in.Tell.Limits = &wire.LimitConfig{WindowMs: 60_000, Messages: 60, Joins: 20, Typing: 120}
	}
	return in
}

// Speak publishes a heartbeat and telemetry.
func (in *Instance) Speak() {
	in.tb.Helper()
	beat, tell := in.Words()
	for _, m := range []*nats.Msg{beat, tell} {
		if err := in.nc.PublishMsg(m); err != nil {
			in.tb.Fatal(err)
		}
	}
}

// Words are the next heartbeat and telemetry, not published.
func (in *Instance) Words() (beat, tell *nats.Msg) {
	in.tb.Helper()
	in.Beat.Seq++
	in.Tell.Seq++
	return in.word(subject.Heartbeat(in.Beat.Service, in.Beat.Instance), in.Beat),
		in.word(subject.Telemetry(in.Tell.Service, in.Tell.Instance), in.Tell)
}

func (in *Instance) word(subj string, word any) *nats.Msg {
	in.tb.Helper()
	data, err := json.Marshal(word)
	if err != nil {
		in.tb.Fatal(err)
	}
	return &nats.Msg{Subject: subj, Data: data}
}

// Cluster is one instance of each service.
func Cluster(tb testing.TB, nc *nats.Conn) []*Instance {
	var all []*Instance
	for _, service := range []string{
		wire.ServiceEdge, wire.ServiceRoom, wire.ServiceRateLimit, wire.ServiceMonitor,
	} {
		all = append(all, NewInstance(tb, nc, service, service+"-1"))
	}
	return all
}

// patience is how long Until waits: far above what anything here takes.
const patience = 20 * time.Second

// Until speaks for all every second, asks often, and returns when holds.
func Until(tb testing.TB, all []*Instance, what string, holds func() bool) {
	tb.Helper()
	deadline := time.After(patience)
	ask, speak := time.NewTicker(10*time.Millisecond), time.NewTicker(time.Second)
	defer ask.Stop()
	defer speak.Stop()
	for _, in := range all {
		in.Speak()
	}
	for !holds() {
		select {
		case <-ask.C:
		case <-speak.C:
			for _, in := range all {
				in.Speak()
			}
		case <-deadline:
			tb.Fatalf("not within %v: %s", patience, what)
		}
	}
}
