// Package collecttest publishes heartbeats and telemetry as the instances of a cluster
// do, for tests.
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
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
)

// Start runs a collector on a new NATS server until the test ends.
func Start(tb testing.TB) (*collect.Collector, *natstest.Server) {
	tb.Helper()
	server := natstest.Start(tb)
	return Run(tb, server.Conn(tb)), server
}

// subscriptions is how many a running collector has.
const subscriptions = 2

// Run runs a collector on nc until the test ends, and returns when it receives what is
// published from now on. It is the only user of nc.
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
	eventually.True(tb, "the collector has subscribed", func() bool { return nc.NumSubscriptions() == subscriptions })
	if err := nc.Flush(); err != nil {
		tb.Fatal(err)
	}
	return c
}

// Instance is a fake instance that publishes when a test calls Publish.
type Instance struct {
	tb testing.TB
	nc *nats.Conn

	Heartbeat wire.Heartbeat // the next one, except for its Seq
	Telemetry wire.Telemetry
}

// NewInstance returns an instance of a service, with a load and counters that tests know.
func NewInstance(tb testing.TB, nc *nats.Conn, service, name string) *Instance {
	in := &Instance{
		tb: tb, nc: nc,
		Heartbeat: wire.Heartbeat{
			Service: service, Instance: name, Gen: 1, Version: "1.2.3",
			StartedMs: time.Now().UnixMilli(), State: wire.StateOK,
		},
		Telemetry: wire.Telemetry{Service: service, Instance: name, Gen: 1, Counters: map[string]uint64{}},
	}
	all := make([]int, subject.Shards)
	for i := range all {
		all[i] = i
	}
	switch service {
	case wire.ServiceEdge:
		in.Heartbeat.Edge = &wire.EdgeLoad{Connections: 12, Users: 10}
		in.Telemetry.Config = &wire.EdgeConfig{Namespace: "/chat", CORSOrigin: "*", Metrics: true}
		in.Telemetry.Counters = map[string]uint64{wire.CountConnections: 15, wire.CountViolations: 2}
	case wire.ServiceRoom:
		in.Heartbeat.Room = &wire.RoomLoad{Shards: all, Rooms: 2, Users: 11, Typing: 1}
		in.Telemetry.Counters = map[string]uint64{wire.CountMessages: 120, wire.CountRoomsCreated: 2}
		in.Telemetry.Rooms = []wire.RoomDetail{{RoomID: "<img src=x>", UserCount: 3, LastActivityMs: 1}}
	case wire.ServiceRateLimit:
		in.Heartbeat.Limit = &wire.LimitLoad{Shards: all, Keys: 21}
		in.Telemetry.Limits = &wire.LimitConfig{WindowMs: 60_000, Messages: 60, Joins: 20, Typing: 120}
	}
	return in
}

// Publish publishes a heartbeat and telemetry.
func (in *Instance) Publish() {
	in.tb.Helper()
	beat, telemetry := in.Messages()
	for _, m := range []*nats.Msg{beat, telemetry} {
		if err := in.nc.PublishMsg(m); err != nil {
			in.tb.Fatal(err)
		}
	}
}

// Messages returns the next heartbeat and telemetry without publishing them.
func (in *Instance) Messages() (beat, telemetry *nats.Msg) {
	in.tb.Helper()
	in.Heartbeat.Seq++
	in.Telemetry.Seq++
	return in.message(subject.Heartbeat(in.Heartbeat.Service, in.Heartbeat.Instance), in.Heartbeat),
		in.message(subject.Telemetry(in.Telemetry.Service, in.Telemetry.Instance), in.Telemetry)
}

func (in *Instance) message(subj string, content any) *nats.Msg {
	in.tb.Helper()
	data, err := json.Marshal(content)
	if err != nil {
		in.tb.Fatal(err)
	}
	return &nats.Msg{Subject: subj, Data: data}
}

// Cluster returns one instance of each service.
func Cluster(tb testing.TB, nc *nats.Conn) []*Instance {
	var all []*Instance
	for _, service := range []string{
		wire.ServiceEdge, wire.ServiceRoom, wire.ServiceRateLimit, wire.ServiceMonitor,
	} {
		all = append(all, NewInstance(tb, nc, service, service+"-1"))
	}
	return all
}

// Until publishes for all instances every second until holds returns true, which it
// checks often. It fails the test as package eventually does.
func Until(tb testing.TB, all []*Instance, what string, holds func() bool) {
	tb.Helper()
	var published time.Time
	eventually.True(tb, what, func() bool {
		if time.Since(published) >= time.Second {
			published = time.Now()
			for _, in := range all {
				in.Publish()
			}
		}
		return holds()
	})
}
