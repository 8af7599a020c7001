package shard

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/confab-chat/confab/services/room/internal/publisher"
	"github.com/confab-chat/confab/shared/telemetry"
)

// maxSpans bounds the commands that are traced at once.
const maxSpans = 4096

// spans are the spans of the commands under way whose sender is traced. A span ends with the
// reply. It implements publisher.Tracer.
type spans struct {
	tracer trace.Tracer // nil: no tracing
	conn   *nats.Conn
	open   map[string]trace.Span // by reply subject
}

func newSpans(t trace.Tracer, nc *nats.Conn, b *publisher.Publisher) *spans {
	s := &spans{tracer: t, conn: nc, open: make(map[string]trace.Span)}
	if t != nil {
		b.Tracer = s
	}
	return s
}

// Of implements publisher.Tracer.
func (s *spans) TraceOf(reply string) string {
	span, ok := s.open[reply]
	if !ok {
		return ""
	}
	return telemetry.Traceparent(span)
}

// Published implements publisher.Tracer.
func (s *spans) Published(subject string) {
	if span, ok := s.open[subject]; ok {
		span.End()
		delete(s.open, subject)
	}
}

// Publish implements publisher.Tracer.
func (s *spans) Publish(subject string, data []byte, traces []string) error {
	return s.conn.PublishMsg(&nats.Msg{Subject: subject, Data: data, Header: telemetry.Header(traces)})
}

// startSpan starts the span of a command if its message carries a sampled trace.
func (s *spans) startSpan(op string, m *nats.Msg) {
	if s.tracer == nil || len(m.Header) == 0 || m.Reply == "" || len(s.open) >= maxSpans {
		return
	}
	ctx := telemetry.Extract(context.Background(), m.Header)
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return
	}
	_, span := s.tracer.Start(ctx, "room "+op, trace.WithSpanKind(trace.SpanKindServer))
	s.open[m.Reply] = span
}
