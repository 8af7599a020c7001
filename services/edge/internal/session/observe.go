package session

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/shared/telemetry"
)

// refusalsPerSecond is how many refusals of a loop are logged at level info in a second:
// enough to find the ref that a user reports, too few to fill a disk with.
const refusalsPerSecond = 20

// refusals samples the log of one loop's refusals. Owned by the loop.
type refusals struct {
	second     int64
	logged     int
	suppressed uint64 // below level info, since the last one that was logged
}

// level returns the level for a refusal at now, and how many before it were suppressed.
func (r *refusals) level(now time.Time, k code.Code) (level slog.Level, suppressed uint64) {
	if second := now.Unix(); second != r.second {
		r.second, r.logged = second, 0
	}
	if k != code.Internal && r.logged >= refusalsPerSecond {
		r.suppressed++
		return slog.LevelDebug, 0
	}
	r.logged++
	suppressed, r.suppressed = r.suppressed, 0
	if k == code.Internal { // a fault of ours
		return slog.LevelError, suppressed
	}
	return slog.LevelInfo, suppressed
}

// startSpan starts the span of a request, whose context goes to the owner with it.
// Without tracing it does nothing.
func (c *command) startSpan() {
	t := c.s.local.core.Tracer
	if t == nil {
		return
	}
	ctx, span := t.Start(context.Background(), "edge "+c.def.Name, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("messaging.operation.name", c.def.Name)))
	c.header = telemetry.Inject(ctx, nil)
	c.span = span
}

// context returns a context with the command's span, for its logs and metrics.
func (c *command) context() context.Context {
	if c.span == nil {
		return context.Background()
	}
	return trace.ContextWithSpan(context.Background(), c.span)
}
