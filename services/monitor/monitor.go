// Package monitor is the service that reports the state of the cluster. It
// subscribes to the heartbeats and telemetry of every instance and answers health,
// statistics and metrics from memory. It sends no requests to other services, so any
// number of monitors may run side by side.
package monitor

import (
	"context"
	"time"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/monitor/internal/collect"
	"github.com/confab-chat/confab/services/monitor/internal/endpoint"
	"github.com/confab-chat/confab/services/monitor/internal/web"
	"github.com/confab-chat/confab/shared/admin"
	"github.com/confab-chat/confab/shared/heartbeat"
	"github.com/confab-chat/confab/shared/lifecycle"
	"github.com/confab-chat/confab/shared/natsconn"
)

// Run serves until ctx ends. NATS may be absent, at the start or later: values that
// have not been reported are shown as unknown. The error is about the settings, or a
// port that cannot be opened (lifecycle.IOError).
func Run(ctx context.Context, cfg Config, d lifecycle.Deps) error {
	log, status := d.Telemetry.Logger, &natsconn.Status{}
	// Registered first: connecting may take seconds, and /readyz must fail until then.
	check := func() admin.Result { return ready(status.State(), cfg.ReadyNATSGrace) }
	d.Admin.Ready(d.Service, check)
	defer context.AfterFunc(ctx, d.Admin.Drain)()
	listener, err := d.Listen("CONFAB_MONITOR_ADDR", cfg.Addr)
	if err != nil {
		return err
	}
	defer listener.Close() // web.Serve closes it too; a second Close is harmless
	nc, err := natsconn.Connect(natsconn.Options{
		Service: d.Service, Instance: d.Instance, URL: cfg.NATSURL, CredsFile: cfg.NATSCredsFile,
		InProcess: d.NATS, Peers: subject.HeartbeatOf(wire.ServiceRoom), Status: status, Logger: log,
	})
	if err != nil {
		return err
	}
	defer nc.Close()
	fleet := collect.New(nc, log)
	pages, err := web.Handler(fleet, web.Options{
		Origins: cfg.AllowedOrigins, Metrics: cfg.EnableMetrics,
		Ready: func() bool { return check().Status != admin.Fail },
	})
	if err != nil {
		return err
	}
	if err := status.Register(d.Telemetry.Meter); err != nil {
		return err
	}
	log.Info("monitor starts", "addr", listener.Addr().String())
	return lifecycle.RunParts(ctx,
		lifecycle.Part{Name: "nats", Run: func(ctx context.Context) error {
			<-ctx.Done()
			return natsconn.Drain(context.WithoutCancel(ctx), nc)
		}},
		lifecycle.Part{Name: "collect", Run: fleet.Run},
		lifecycle.Part{Name: "endpoint", Run: func(ctx context.Context) error {
			return endpoint.Serve(ctx, nc, d.Instance, d.Version, fleet)
		}},
		lifecycle.Part{Name: "web", Run: func(ctx context.Context) error {
			return web.Serve(ctx, listener, pages, log)
		}},
		lifecycle.Part{Name: "heartbeat", Run: func(ctx context.Context) error {
			return heartbeat.Run(ctx, nc, heartbeat.Source{
				Service: d.Service, Instance: d.Instance, Gen: d.Gen, Version: d.Version,
				Count: func(*wire.Telemetry) {}, // monitor has no counters of its own
			})
		}},
	)
}

// ready fails until NATS has been connected once, and when it has been lost for longer
// than grace (0: no limit). A load balancer then uses another monitor. A monitor that
// is queried nevertheless says in its notes that it is disconnected.
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
