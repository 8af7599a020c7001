package edge

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/listen"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/shared/config"
	"github.com/confab-chat/confab/shared/heartbeat"
	"github.com/confab-chat/confab/shared/telemetry"
)

// source returns what the heartbeats of this edge report.
func (e *edge) source() heartbeat.Source {
	return heartbeat.Source{
		Service: e.deps.Service, Instance: e.deps.Instance, Gen: e.deps.Gen, Version: e.deps.Version,
		Beat: e.beat, Count: e.count,
	}
}

func (e *edge) beat(hb *wire.Heartbeat) {
	e.pulse.beat()
	counts := e.relay.Counts()
	hb.Edge = &wire.EdgeLoad{
		Connections: e.hub.ConnCount(), Users: counts.Users, Rooms: counts.Rooms, Memberships: counts.Memberships,
		QueuedBytes: int(e.connTotals().queued), Fallback: e.quota.Fallback(),
	}
	switch {
	case e.drain.phase.Load() != serving:
		hb.State = wire.StateDraining
	case hb.Edge.Fallback:
		hb.State, hb.Note = wire.StateDegraded, "ratelimit does not answer: the edge decides permits alone"
	case !e.status.State().Up():
		hb.State, hb.Note = wire.StateDegraded, "a NATS connection is lost"
	}
}

func (e *edge) count(t *wire.Telemetry) {
	conns, permits := e.connTotals(), e.quota.Stats()
	t.Counters = map[string]uint64{
		wire.CountConnections:    conns.opened,
		wire.CountDisconnections: conns.opened - uint64(conns.open),
		wire.CountViolations:     e.core.Refused()[code.RateLimited],
		wire.CountDelivered:      e.hub.Delivered(),
		wire.CountSlowConsumers:  conns.slow,
		wire.CountGaps:           e.relay.Counts().Repaired,
		wire.CountFallback:       permits.Local,
		wire.CountPermits:        permits.Asked + permits.Leased + permits.Local,
	}
	t.Latency = map[string]wire.Histogram{
		wire.LatencyAccept: e.core.Accepts(),
		wire.LatencyPermit: e.quota.Latency(),
	}
	t.Config = &wire.EdgeConfig{
		Namespace: e.cfg.Namespace, CORSOrigin: e.cfg.AllowedOrigins.String(),
		DetailedLogging: e.cfg.Env != config.Production, Metrics: e.cfg.EnableMetrics, Heartbeat: e.cfg.EnableHeartbeat,
	}
}

// connTotals sums the connection counters of all loops.
type connTotals struct {
	open, queued, opened, slow, panics, in, out uint64
	droppedTyping, droppedPresence              uint64
}

func (e *edge) connTotals() (t connTotals) {
	for _, s := range e.connStats() {
		t.open += uint64(s.Open.Load())
		t.opened += s.Opened.Load()
		t.slow += s.Slow.Load()
		t.panics += s.Panics.Load()
		t.queued += uint64(max(0, s.Queued.Load()))
		t.in += s.BytesIn.Load()
		t.out += s.BytesOut.Load()
		t.droppedTyping += s.DroppedTyping.Load()
		t.droppedPresence += s.DroppedPresence.Load()
	}
	return t
}

// pulse checks that the loops run.
type pulse struct {
	loops []*poll.Loop // static
	last  []atomic.Int64
}

// stuckAfter is how long a loop may be stuck before the liveness check fails.
const stuckAfter = 10 * time.Second

func newPulse(loops []*poll.Loop) *pulse {
	p := &pulse{loops: loops, last: make([]atomic.Int64, len(loops))}
	now := time.Now().UnixNano()
	for i := range p.last {
		p.last[i].Store(now)
	}
	return p
}

// beat asks every loop to record the time.
func (p *pulse) beat() {
	for i, l := range p.loops {
		l.TryPost(func() { p.last[i].Store(time.Now().UnixNano()) })
	}
}

// check is the liveness check. It depends on nothing outside this process.
func (p *pulse) check() error {
	for i := range p.last {
		if at := time.Unix(0, p.last[i].Load()); time.Since(at) > stuckAfter {
			return fmt.Errorf("event loop %d has been stuck since %s", i, at.UTC().Format(time.TimeOnly))
		}
	}
	return nil
}

func acceptDuration(m metric.Meter) (metric.Float64Histogram, error) {
	h, err := m.Float64Histogram("chat.message.accept.duration", metric.WithUnit("s"), telemetry.Seconds(),
		metric.WithDescription("Time from receiving a sendMessage to sending its reply."))
	if err != nil {
		return nil, fmt.Errorf("make edge metrics: %w", err)
	}
	return h, nil
}

// reporter reports one value of an instrument, with its labels.
type reporter = func(n uint64, labels ...attribute.KeyValue)

// instrument registers observable instruments over counters that exist anyway.
func (e *edge) instrument(m metric.Meter) error {
	var errs []error
	counter := func(name, unit, help string, report func(reporter)) {
		_, err := m.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(help), callback(report))
		errs = append(errs, err)
	}
	gauge := func(name, unit, help string, report func(reporter)) {
		_, err := m.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(help), callback(report))
		errs = append(errs, err)
	}
	gauge("chat.connections.active", "{connection}", "Open connections.", func(r reporter) { r(e.connTotals().open) })
	gauge("chat.rooms.active", "{room}", "Rooms with members: on this edge, or in the shards of this room instance.", func(r reporter) { r(uint64(e.relay.Counts().Rooms)) })
	gauge("chat.memberships.active", "{membership}", "Memberships of connections in rooms.", func(r reporter) {
		r(uint64(e.relay.Counts().Memberships))
	})
	gauge("chat.outbound.queued", "By", "Bytes queued for clients.", func(r reporter) { r(e.connTotals().queued) })
	gauge("chat.drain.state", "{state}", "0 serving, 1 draining, 2 closing.", func(r reporter) { r(uint64(e.drain.phase.Load())) })
	_, err := m.Float64ObservableGauge("chat.outbound.utilization", metric.WithUnit("1"),
		metric.WithDescription("Share of the limit on bytes queued for clients that is in use."),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(e.budget.Utilization())
			return nil
		}))
	errs = append(errs, err)
	counter("chat.closes", "{connection}", "Connections closed, by code.", e.reportCloses)
	counter("chat.handshakes", "{handshake}", "Handshakes, by outcome.", e.reportHandshakes)
	counter("chat.network.io", "By", "Bytes read from and written to client connections.", func(r reporter) {
		t := e.connTotals()
		r(t.in, attribute.String("direction", "in"))
		r(t.out, attribute.String("direction", "out"))
	})
	counter("chat.messages.delivered", "{event}", "Events queued to connections.", func(r reporter) { r(e.hub.Delivered()) })
	counter("chat.slow_consumers", "{event}", "Events dropped and connections closed because of slow clients, by action.", func(r reporter) {
		t := e.connTotals()
		r(t.slow, attribute.String("action", "closed"))
		r(t.droppedTyping, attribute.String("action", "dropped_typing"))
		r(t.droppedPresence, attribute.String("action", "dropped_presence"))
	})
	counter("chat.nats.malformed", "{message}", "Malformed messages from NATS that were dropped.", func(r reporter) { r(e.relay.Counts().Malformed) })
	counter("chat.sequence.gaps", "{gap}", "Gaps found in the sequence of a room and repaired.", func(r reporter) { r(e.relay.Counts().Repaired) })
	counter("chat.messages.gone", "{message}", "Messages reported to clients as no longer available.", func(r reporter) { r(e.relay.Counts().Gone) })
	counter("chat.requests.refused", "{request}", "Requests refused, by code.", func(r reporter) {
		for k, n := range e.core.Refused() {
			r(n, attribute.String("error.type", string(k)))
		}
	})
	counter("chat.permits", "{permit}", "Permits, by decision maker: ratelimit, this edge under a lease, or this edge as fallback when ratelimit did not answer.", func(r reporter) {
		stats := e.quota.Stats()
		r(stats.Asked, attribute.String("chat.decided", "ratelimit"))
		r(stats.Leased, attribute.String("chat.decided", "lease"))
		r(stats.Local, attribute.String("chat.decided", "fallback"))
	})
	counter("chat.panics", "{panic}", "Panics in connection handlers.", func(r reporter) { r(e.connTotals().panics) })
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("make edge metrics: %w", err)
	}
	return e.status.Register(m)
}

// callback returns the option that makes an instrument ask report for its values.
func callback(report func(reporter)) metric.Int64ObservableOption {
	return metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
		report(func(n uint64, labels ...attribute.KeyValue) { o.Observe(int64(n), metric.WithAttributes(labels...)) })
		return nil
	})
}

func (e *edge) reportCloses(report reporter) {
	codes := conn.CloseCodes()
	for i := range len(codes) + 1 {
		var n uint64
		for _, s := range e.connStats() {
			n += s.ByCode[i].Load()
		}
		name := "other"
		if i < len(codes) {
			name = strconv.Itoa(int(codes[i]))
		}
		if n > 0 {
			report(n, attribute.String("chat.close.code", name))
		}
	}
}

func (e *edge) reportHandshakes(report reporter) {
	stats := e.server.Stats()
	report(stats.Upgraded.Load(), attribute.String("outcome", "ok"))
	for i, reason := range listen.Reasons() {
		if n := stats.Refused[i].Load(); n > 0 {
			report(n, attribute.String("outcome", reason))
		}
	}
}
