// Package ratelimit is the service that grants permits. It limits how often a user may
// send, join and type, over the whole cluster. Edges ask it over NATS; each shard of users
// has one owner among its instances.
package ratelimit

import (
	"context"
	"time"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/ratelimit/internal/endpoint"
	"github.com/confab-chat/confab/services/ratelimit/internal/policy"
	"github.com/confab-chat/confab/shared/admin"
	"github.com/confab-chat/confab/shared/config"
	"github.com/confab-chat/confab/shared/heartbeat"
	"github.com/confab-chat/confab/shared/lifecycle"
	"github.com/confab-chat/confab/shared/limit"
	"github.com/confab-chat/confab/shared/natsconn"
	"github.com/confab-chat/confab/shared/partition"
)

// Config are the settings of ratelimit.
type Config struct {
	config.Common `default:"ADMIN_ADDR=127.0.0.1:9103"`
	config.Limits
	Replicas int `env:"LOG_REPLICAS" envDefault:"1" min:"1" max:"5" doc:"copies that NATS keeps of a stream or bucket that is created"`
}

// Service describes ratelimit to lifecycle.Main.
func Service() lifecycle.Service[Config] {
	return lifecycle.Service[Config]{
		Name:    wire.ServiceRateLimit,
		Summary: "grants permits to send, join and type",
		Run:     Run,
	}
}

// Run serves until ctx ends. Then it releases its shards, so that another instance takes
// them over within a tenth of a second. NATS may be absent, at the start or later: edges
// decide locally then. The error is about the settings.
func Run(ctx context.Context, cfg Config, d lifecycle.Deps) error {
	status := &natsconn.Status{}
	// First: connecting may take seconds, and the service is not ready meanwhile.
	d.Admin.Starting(d.Service + " shards")
	d.Admin.Ready(d.Service, func() admin.Result { return ready(status.State(), cfg.ReadyNATSGrace) })
	defer context.AfterFunc(ctx, d.Admin.Drain)()
	nc, err := natsconn.Connect(natsconn.Options{
		Service: d.Service, Instance: d.Instance, URL: cfg.NATSURL, CredsFile: cfg.NATSCredsFile,
		InProcess: d.NATS, Peers: subject.HeartbeatOf(wire.ServiceRoom), Status: status, Logger: d.Telemetry.Logger,
	})
	if err != nil {
		return err
	}
	defer nc.Close()
	limits := policy.Limits{
		Messages: cfg.Messages, Joins: cfg.Joins, Typing: cfg.Typing, Resume: policy.Resume,
	}
	permits, err := endpoint.New(nc, limits, d.Telemetry.Logger)
	if err != nil {
		return err
	}
	leases, err := partition.New(partition.Options{
		Conn: nc, Group: subject.QueueLimit, Instance: d.Instance, Shards: subject.Shards,
		Replicas: cfg.Replicas, Logger: d.Telemetry.Logger,
	}, permits)
	if err != nil {
		return err
	}
	d.Admin.Ready(d.Service+" shards", admin.Once("owners of all shards", leases.Covered))
	if err := instrument(d.Telemetry.Meter, status, permits); err != nil {
		return err
	}
	d.Telemetry.Logger.Info("ratelimit starts", "messages", limits.Messages, "joins", limits.Joins,
		"typing", limits.Typing, "resume", limits.Resume)
	// Parts stop in reverse order: last heartbeat, shards released, answers end.
	return lifecycle.RunParts(ctx,
		lifecycle.Part{Name: "nats", Run: func(ctx context.Context) error {
			<-ctx.Done()
			return natsconn.Drain(context.WithoutCancel(ctx), nc)
		}},
		lifecycle.Part{Name: "permits", Run: permits.Run},
		lifecycle.Part{Name: "leases", Run: leases.Run},
		lifecycle.Part{Name: "heartbeat", Run: func(ctx context.Context) error {
			return heartbeat.Run(ctx, nc, source(d.Identity, permits, limits))
		}},
	)
}

// source returns the contents of this instance's heartbeats.
func source(id lifecycle.Identity, permits *endpoint.Endpoint, limits policy.Limits) heartbeat.Source {
	return heartbeat.Source{
		Service: id.Service, Instance: id.Instance, Gen: id.Gen, Version: id.Version,
		Beat: func(hb *wire.Heartbeat) {
			load := permits.Load()
			hb.Limit = &load
		},
		Count: func(t *wire.Telemetry) {
			var asked, denied uint64
			for _, d := range permits.Decisions() {
				asked += d.Granted + d.Denied
				denied += d.Denied
			}
			t.Counters = map[string]uint64{wire.CountPermits: asked, wire.CountDenials: denied}
			t.Limits = limits.Config(limit.Window)
		},
	}
}

// ready fails before NATS has been reached once, and after it has been lost for longer than
// grace; a grace of 0 means no limit.
func ready(s natsconn.State, grace time.Duration) admin.Result {
	switch lost := s.LostFor(time.Now()); {
	case !s.Ever:
		return admin.Result{Status: admin.Fail, Output: "NATS has not been reached yet"}
	case lost == 0:
		return admin.Result{Status: admin.Pass}
	case grace == 0 || lost <= grace:
		return admin.Result{Status: admin.Warn, Output: "the NATS connection is lost"}
	}
	return admin.Result{Status: admin.Fail, Output: "the NATS connection has been lost for too long"}
}
