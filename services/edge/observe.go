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
	hb.EdgeGen = e.relay.Origin().Gen
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

// instrument registers observable instruments over counters that exist anyway.
func (e *edge) instrument(m metric.Meter) error {
	var errs []error
	counter := func(name, unit, help string) metric.Int64ObservableCounter {
		c, err := m.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(help))
		errs = append(errs, err)
		return c
	}
	gauge := func(name, unit, help string) metric.Int64ObservableGauge {
		g, err := m.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(help))
		errs = append(errs, err)
		return g
	}
	active := gauge("chat.connections.active", "{connection}", "Open connections.")
	rooms := gauge("chat.rooms.active", "{room}", "Rooms with members on this edge.")
	memberships := gauge("chat.memberships.active", "{membership}", "Memberships of connections in rooms.")
	queued := gauge("chat.outbound.queued", "By", "Bytes queued for clients.")
	used, failed := m.Float64ObservableGauge("chat.outbound.utilization", metric.WithUnit("1"),
		metric.WithDescription("Share of the limit on bytes queued for clients that is in use."))
	errs = append(errs, failed)
	phase := gauge("chat.drain.state", "{state}", "0 serving, 1 draining, 2 closing.")
	closes := counter("chat.closes", "{connection}", "Connections closed, by code.")
	handshakes := counter("chat.handshakes", "{handshake}", "Handshakes, by outcome.")
	traffic := counter("chat.network.io", "By", "Bytes read from and written to client connections.")
	delivered := counter("chat.messages.delivered", "{event}", "Events queued to connections.")
	slow := counter("chat.slow_consumers", "{event}", "Events dropped and connections closed because of slow clients, by action.")
	repaired := counter("chat.sequence.gaps", "{gap}", "Gaps found in the sequence of a room and repaired.")
	gone := counter("chat.messages.gone", "{message}", "Messages reported to clients as no longer available.")
	refused := counter("chat.requests.refused", "{request}", "Requests refused, by code.")
	permits := counter("chat.permits", "{permit}", "Permits, by decision maker: ratelimit, this edge under a lease, or this edge as fallback when ratelimit did not answer.")
	panics := counter("chat.panics", "{panic}", "Panics in connection handlers.")
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("make edge metrics: %w", err)
	}
	_, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		t, counts := e.connTotals(), e.relay.Counts()
		o.ObserveInt64(active, int64(t.open))
		o.ObserveInt64(rooms, int64(counts.Rooms))
		o.ObserveInt64(memberships, int64(counts.Memberships))
		o.ObserveInt64(queued, int64(t.queued))
		o.ObserveFloat64(used, e.budget.Utilization())
		o.ObserveInt64(phase, int64(e.drain.phase.Load()))
		o.ObserveInt64(traffic, int64(t.in), label("direction", "in"))
		o.ObserveInt64(traffic, int64(t.out), label("direction", "out"))
		o.ObserveInt64(delivered, int64(e.hub.Delivered()))
		o.ObserveInt64(slow, int64(t.slow), label("action", "closed"))
		o.ObserveInt64(slow, int64(t.droppedTyping), label("action", "dropped_typing"))
		o.ObserveInt64(slow, int64(t.droppedPresence), label("action", "dropped_presence"))
		o.ObserveInt64(repaired, int64(counts.Repaired))
		o.ObserveInt64(gone, int64(counts.Gone))
		e.observePermits(o, permits)
		o.ObserveInt64(panics, int64(t.panics))
		for k, n := range e.core.Refused() {
			o.ObserveInt64(refused, int64(n), label("error.type", string(k)))
		}
		e.observeCloses(o, closes)
		e.observeHandshakes(o, handshakes)
		return nil
	}, active, rooms, memberships, queued, used, phase, closes, handshakes, traffic, delivered, slow, repaired, gone, refused, permits, panics)
	if err != nil {
		return fmt.Errorf("register edge metrics: %w", err)
	}
	return e.status.Register(m)
}

func label(key, value string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String(key, value)))
}

func (e *edge) observeCloses(o metric.Observer, closes metric.Int64ObservableCounter) {
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
			o.ObserveInt64(closes, int64(n), label("chat.close.code", name))
		}
	}
}

func (e *edge) observePermits(o metric.Observer, permits metric.Int64ObservableCounter) {
	stats := e.quota.Stats()
	o.ObserveInt64(permits, int64(stats.Asked), label("chat.decided", "ratelimit"))
	o.ObserveInt64(permits, int64(stats.Leased), label("chat.decided", "lease"))
	o.ObserveInt64(permits, int64(stats.Local), label("chat.decided", "fallback"))
}

func (e *edge) observeHandshakes(o metric.Observer, handshakes metric.Int64ObservableCounter) {
	stats := e.server.Stats()
	o.ObserveInt64(handshakes, int64(stats.Upgraded.Load()), label("outcome", "ok"))
	for i, reason := range listen.Reasons() {
		if n := stats.Refused[i].Load(); n > 0 {
			o.ObserveInt64(handshakes, int64(n), label("outcome", reason))
		}
	}
}
