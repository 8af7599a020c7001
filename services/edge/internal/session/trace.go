package session

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/confab-chat/confab/shared/telemetry"
)

// trace begins the span of a request, whose context goes to the owner with it.
// Without tracing it does nothing at all.
func (c *command) trace() {
	t := c.s.local.core.Tracer
	if t == nil {
		return
	}
	ctx, span := t.Start(context.Background(), "edge "+c.name, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("messaging.operation.name", c.name)))
	c.header = telemetry.Inject(ctx, nil)
	c.span = span
}

// context has the command's span, for what is logged and measured about it.
func (c *command) context() context.Context {
	if c.span == nil {
		return context.Background()
	}
	return trace.ContextWithSpan(context.Background(), c.span)
}
