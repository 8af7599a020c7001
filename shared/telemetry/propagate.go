package telemetry

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Inject writes the trace context of ctx into a header (W3C traceparent). If ctx has no
// sampled span, it returns h unchanged (nil stays nil): messages without headers are
// cheaper to send and to parse.
func Inject(ctx context.Context, h nats.Header) nats.Header {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return h
	}
	if h == nil {
		h = make(nats.Header, 1)
	}
	propagation.TraceContext{}.Inject(ctx, carrier(h))
	return h
}

// Extract returns ctx with the trace context of a header, or ctx if there is none.
func Extract(ctx context.Context, h nats.Header) context.Context {
	if len(h) == 0 {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, carrier(h))
}

// Traceparent returns the header value that names a span (W3C Trace Context, section 3.2).
func Traceparent(s trace.Span) string {
	h := Inject(trace.ContextWithSpan(context.Background(), s), nil)
	return carrier(h).Get(traceparent)
}

// Header returns the header of a message that continues several traces: one traceparent
// for each of them.
func Header(traceparents []string) nats.Header { return nats.Header{traceparent: traceparents} }

// Parents returns a context for each trace that h names.
func Parents(h nats.Header) []context.Context {
	var list []context.Context
	for _, value := range h[traceparent] {
		list = append(list, Extract(context.Background(), Header([]string{value})))
	}
	return list
}

const traceparent = "traceparent"

// carrier does not canonicalize keys: NATS headers are case-sensitive, and nats-server
// itself reads the lower-case traceparent.
type carrier nats.Header

func (c carrier) Set(key, value string) { c[key] = []string{value} }

func (c carrier) Get(key string) string {
	if v := c[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}
