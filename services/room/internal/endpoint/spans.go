package endpoint

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/confab-chat/confab/services/room/internal/bus"
	"github.com/confab-chat/confab/shared/telemetry"
)

// maxSpans bounds the commands that are traced at once; more are not.
const maxSpans = 4096

// spans are the commands under way that are traced: those whose sender is. A span
// ends with the reply.
type spans struct {
	tracer trace.Tracer
	bus    *bus.Bus
	open   map[string]trace.Span // by reply subject
}

func newSpans(t trace.Tracer, b *bus.Bus) spans {
	s := spans{tracer: t, bus: b, open: make(map[string]trace.Span)}
	if t != nil {
		open := s.open
		b.Published = func(subject string) {
			if span, ok := open[subject]; ok {
				span.End()
				delete(open, subject)
			}
		}
	}
	return s
}

// begin opens the span of a command when its message carries a sampled trace.
func (s *spans) begin(op string, m *nats.Msg) {
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
