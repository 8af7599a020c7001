// Package edge is the service that holds client connections: it authenticates them,
// sends their requests over NATS to the owners of rooms and users, and fans out
// events to the members of rooms. Any edge serves any client. An edge stores nothing
// that cannot be fetched again, so losing one costs its clients a reconnect.
package edge

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/listen"
	"github.com/confab-chat/confab/services/edge/internal/quota"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay"
	"github.com/confab-chat/confab/services/edge/internal/session"
	"github.com/confab-chat/confab/services/edge/internal/socketio/engine"
	"github.com/confab-chat/confab/services/edge/internal/socketio/peers"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/shared/admin"
	"github.com/confab-chat/confab/shared/devtoken"
	"github.com/confab-chat/confab/shared/heartbeat"
	"github.com/confab-chat/confab/shared/lifecycle"
	"github.com/confab-chat/confab/shared/natsconn"
)

// nativePlace is the place of the native codec in the hub. Socket.IO's follow.
const nativePlace = 0

// resumesPerMinute limits joinRoom with since (client contract, section 9 G).
const resumesPerMinute = 100

// flushWait bounds the wait for replies to the last commands when the edge stops.
const flushWait = 5 * time.Second

// edge is one running edge: its parts, each after those it depends on. All fields
// are static after build.
type edge struct {
	cfg    Config
	deps   lifecycle.Deps
	log    *slog.Logger
	status *natsconn.Status

	conns  []*nats.Conn
	loops  *poll.Group
	hub    *hub.Hub
	relay  *relay.Relay
	quota  *quota.Quota
	budget *conn.Budget
	core   *session.Core
	peers  *peers.Peers
	server *listen.Server
	ln     net.Listener
	drain  *drainer
	pulse  *pulse

	engines []*engine.Server
}

// Run serves until ctx ends. Then it asks its clients to reconnect elsewhere, closes
// their connections, and returns when their last requests have been answered. NATS
// may be unreachable at the start and later. Errors concern settings, the port and
// the data folder.
func Run(ctx context.Context, cfg Config, d lifecycle.Deps) error {
	e := &edge{cfg: cfg, deps: d, log: d.Telemetry.Logger, status: &natsconn.Status{}}
	defer e.closeConns()
	if err := e.build(); err != nil {
		return err
	}
	d.Admin.Ready(d.Service, e.ready)
	d.Admin.Live(d.Service+" loops", e.pulse.check)
	defer context.AfterFunc(ctx, d.Admin.Drain)()
	if err := e.server.Serve(e.ln); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	e.log.Info("listening", "event", "edge.listening", "addr", e.ln.Addr().String(), "io", cfg.IO, "loops", len(e.loops.Loops()))
	// The parts stop in reverse order: clients are disconnected, the loops end with the
	// connections that are left, HTTP ends, a last heartbeat announces the stop, permit
	// leases are returned, the last commands are answered, NATS is drained.
	return lifecycle.RunParts(ctx,
		lifecycle.Part{Name: "nats", Run: e.drainNATS},
		lifecycle.Part{Name: "relay", Run: e.runRelay},
		lifecycle.Part{Name: "permits", Run: e.runPermits},
		lifecycle.Part{Name: "heartbeat", Run: func(ctx context.Context) error {
			return heartbeat.Run(ctx, e.conns[0], e.source())
		}},
		lifecycle.Part{Name: "http", Run: e.server.Run},
		lifecycle.Part{Name: "loops", Run: e.loops.Run},
		lifecycle.Part{Name: "drain", Run: e.drain.run},
	)
}

// build makes the parts without starting them.
func (e *edge) build() error {
	if err := e.connect(); err != nil {
		return err
	}
	secret, err := e.secret()
	if err != nil {
		return err
	}
	keys, err := auth.HMAC(secret)
	if err != nil {
		return fmt.Errorf("token secret: %w", err)
	}
	verifier, err := auth.New(keys, auth.Options{Issuer: e.cfg.Issuer, Audience: e.cfg.Audience, Leeway: e.cfg.Leeway})
	if err != nil {
		return fmt.Errorf("token verification: %w", err)
	}
	e.loops, err = poll.New(poll.Options{Loops: e.cfg.Loops, Mode: poll.Mode(e.cfg.IO), Logger: e.log})
	if err != nil {
		return fmt.Errorf("event loops: %w", err)
	}
	codecs := e.codecs()
	e.hub = hub.New(e.loops.Loops(), codecs...)
	roomScope := e.cfg.PresenceScope == "rooms"
	e.relay, err = relay.New(relay.Options{
		Edge: e.deps.Instance, Gen: e.deps.Gen, Conns: e.conns, Hub: e.hub, RoomScope: roomScope, Logger: e.log, Tracer: e.tracer(),
	})
	if err != nil {
		return err
	}
	e.budget = conn.NewBudget(e.cfg.TotalBytes)
	e.quota = quota.New(quota.Options{
		Edge: e.deps.Instance, Requester: e.relay, Limits: e.limits(), Patience: e.cfg.PermitTimeout, Logger: e.log, Now: time.Now,
	})
	accepts, err := acceptDuration(e.deps.Telemetry.Meter)
	if err != nil {
		return err
	}
	e.core = session.New(session.Options{
		Loops: e.loops.Loops(), Hub: e.hub, Relay: e.relay, Quota: e.quota, Verifier: verifier,
		Codecs: codecs, Heartbeat: e.cfg.heartbeat(), QueueBytes: e.cfg.QueueBytes, Ping: e.cfg.EnableHeartbeat, DefaultRoom: e.cfg.DefaultRoom,
		PerUser: e.cfg.PerUser, RoomScope: roomScope, Logger: e.log, Tracer: e.tracer(), AcceptSeconds: accepts,
	})
	if err := e.listen(verifier, secret); err != nil {
		return err
	}
	e.drain = &drainer{edge: e}
	e.pulse = newPulse(e.loops.Loops())
	return e.instrument(e.deps.Telemetry.Meter)
}

// tracer returns nil when no spans are exported, so that it costs nothing.
func (e *edge) tracer() trace.Tracer {
	if _, off := e.deps.Telemetry.Tracer.(nooptrace.Tracer); off {
		return nil
	}
	return e.deps.Telemetry.Tracer
}

// connect makes the NATS connections; one that cannot connect yet keeps trying.
func (e *edge) connect() error {
	for i := range e.cfg.NATSConns {
		nc, err := natsconn.Connect(natsconn.Options{
			Service: e.deps.Service, Instance: e.deps.Instance, Role: "intake-" + strconv.Itoa(i),
			URL: e.cfg.NATSURL, CredsFile: e.cfg.NATSCredsFile, InProcess: e.deps.NATS,
			Peers: subject.HeartbeatOf(wire.ServiceRoom), Status: e.status, Logger: e.log,
		})
		if err != nil {
			return err
		}
		e.conns = append(e.conns, nc)
	}
	return nil
}

func (e *edge) closeConns() {
	for _, nc := range e.conns {
		nc.Close()
	}
}

// secret returns the secret that signs tokens. Outside production it is generated
// when it is not set.
func (e *edge) secret() ([]byte, error) {
	if e.cfg.Secret.IsSet() {
		return []byte(e.cfg.Secret.Value()), nil
	}
	secret, err := devtoken.Secret(e.cfg.DataDir)
	if err != nil {
		return nil, &lifecycle.IOError{What: "CONFAB_DATA_DIR=" + e.cfg.DataDir, Err: err}
	}
	return secret, nil
}

// limits returns the configured limits. Unlimited joins, for a load test, mean
// unlimited resumes as well.
func (e *edge) limits() quota.Limits {
	l := quota.Limits{
		wire.ActionMessage: e.cfg.Messages, wire.ActionJoin: e.cfg.Joins,
		wire.ActionTyping: e.cfg.Typing, wire.ActionResume: resumesPerMinute,
	}
	if e.cfg.Joins == 0 {
		l[wire.ActionResume] = 0
	}
	return l
}

// runRelay runs the relay until ctx has ended and the last commands have been
// answered.
func (e *edge) runRelay(ctx context.Context) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go func() {
		defer stop()
		<-ctx.Done()
		last, cancel := context.WithTimeout(running, flushWait)
		defer cancel()
		e.relay.Flush(last)
	}() // ends at the latest when Run returns and cancels running
	return e.relay.Run(running)
}

// runPermits answers the owners of permits until ctx ends.
func (e *edge) runPermits(ctx context.Context) error {
	stop, err := e.quota.Listen(e.conns[0])
	if err != nil {
		return err
	}
	<-ctx.Done()
	stop()
	return nil
}

func (e *edge) drainNATS(ctx context.Context) error {
	<-ctx.Done()
	for _, nc := range e.conns {
		if err := natsconn.Drain(context.WithoutCancel(ctx), nc); err != nil {
			e.log.Warn("NATS connection not drained", "event", "edge.nats_drain", "err", err)
		}
	}
	return nil
}

// ready is the readiness check. It fails until NATS has been reached once, and when
// NATS has been lost for longer than the grace period; 0 means forever.
func (e *edge) ready() admin.Result {
	s := e.status.State()
	switch lost := s.LostFor(time.Now()); {
	case !s.Ever:
		return admin.Result{Status: admin.Fail, Output: "NATS has not been reached yet"}
	case lost == 0:
		return admin.Result{Status: admin.Pass}
	case e.cfg.ReadyNATSGrace == 0 || lost <= e.cfg.ReadyNATSGrace:
		return admin.Result{Status: admin.Warn, Output: "the NATS connection is lost"}
	}
	return admin.Result{Status: admin.Fail, Output: "the NATS connection has been lost for too long"}
}
