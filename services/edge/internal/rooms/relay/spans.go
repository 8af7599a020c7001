package relay

import (
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/confab-chat/confab/shared/telemetry"
)

// maxSpans bounds the fan-outs that are traced in one turn; others are not traced.
const maxSpans = 1024

// beginSpans starts a span for each trace that a broadcast continues: the fan-out of one
// message, from its arrival here until every loop with members has its frames.
func (in *intake) beginSpans(h nats.Header) {
	t := in.relay.tracer
	if t == nil || len(h) == 0 {
		return
	}
	for _, ctx := range telemetry.Parents(h) {
		if len(in.spans) == maxSpans {
			return
		}
		_, span := t.Start(ctx, "edge fan-out", trace.WithSpanKind(trace.SpanKindConsumer))
		in.spans = append(in.spans, span)
	}
}

func (in *intake) endSpans() {
	for _, span := range in.spans {
		span.End()
	}
	clear(in.spans)
	in.spans = in.spans[:0]
}
