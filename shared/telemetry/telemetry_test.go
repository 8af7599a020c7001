package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/confab-chat/confab/shared/telemetry"
)

func setup(t *testing.T, o telemetry.Options) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tel.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return tel
}

func sampled(ctx context.Context) (context.Context, trace.SpanContext) {
	s := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	return trace.ContextWithSpanContext(ctx, s), s
}

func TestLogLine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	tel := setup(t, telemetry.Options{Service: "edge", Instance: "e1", Version: "v1", Log: &out})
	ctx, s := sampled(t.Context())
	tel.Logger.InfoContext(ctx, "joined", "room", "a\n\x1b[31m\",\"level\":\"x")
	var line map[string]string
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, out.Bytes())
	}
	for key, want := range map[string]string{
		"service": "edge", "instance": "e1", "version": "v1", "level": "INFO", "msg": "joined",
		"trace_id": s.TraceID().String(), "span_id": s.SpanID().String(), "room": "a\n\x1b[31m\",\"level\":\"x",
	} {
		if line[key] != want {
			t.Errorf("%s = %q, want %q", key, line[key], want)
		}
	}
	if at := line["time"]; !strings.HasSuffix(at, "Z") || len(at) != len("2026-01-02T03:04:05.678Z") {
		t.Errorf("time = %q", at)
	}
	if strings.Count(out.String(), "\n") != 1 {
		t.Errorf("not one line: %q", out.String())
	}
}

// Two services of one process count under the same names.
func TestTwoServicesOneHandler(t *testing.T) {
	t.Parallel()
	var gathered []string
	tels := []*telemetry.Telemetry{setup(t, telemetry.Options{Service: "edge"}), setup(t, telemetry.Options{Service: "room"})}
	for _, tel := range tels {
		c, err := tel.Meter.Int64Counter("chat.nats.reconnects")
		if err != nil {
			t.Fatal(err)
		}
		c.Add(t.Context(), 1)
	}
	rec := httptest.NewRecorder()
	telemetry.Handler(tels[0].Gatherer, tels[1].Gatherer).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(rec.Body.String()) {
		if strings.HasPrefix(line, "chat_nats_reconnects_total{") {
			gathered = append(gathered, line)
		}
	}
	if rec.Code != 200 || len(gathered) != 2 {
		t.Fatalf("%d: %d series\n%s", rec.Code, len(gathered), rec.Body)
	}
	for i, service := range []string{"edge", "room"} {
		if !strings.Contains(gathered[i], `service_name="`+service+`"`) || strings.Contains(gathered[i], "otel_scope") {
			t.Errorf("series %s", gathered[i])
		}
	}
}

func TestNoMetrics(t *testing.T) {
	t.Parallel()
	tel := setup(t, telemetry.Options{Service: "edge", NoMetrics: true})
	c, err := tel.Meter.Int64Counter("x")
	if err != nil {
		t.Fatal(err)
	}
	c.Add(t.Context(), 1)
	if families, err := tel.Gatherer.Gather(); err != nil || len(families) != 0 {
		t.Errorf("%d families, %v", len(families), err)
	}
}

func TestPropagation(t *testing.T) {
	t.Parallel()
	if h := telemetry.Inject(t.Context(), nil); h != nil {
		t.Errorf("without a span: %v", h)
	}
	ctx, s := sampled(t.Context())
	h := telemetry.Inject(ctx, nats.Header{"X": {"y"}})
	if got := trace.SpanContextFromContext(telemetry.Extract(t.Context(), h)); got.TraceID() != s.TraceID() || got.SpanID() != s.SpanID() || !got.IsRemote() {
		t.Errorf("came back as %v", got)
	}
	if h.Get("X") != "y" {
		t.Error("another header was lost")
	}
}

// Not parallel: it sets the environment.
func TestExportersAreAskedFor(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "console")
	tel := setup(t, telemetry.Options{Service: "edge"})
	_, span := tel.Tracer.Start(t.Context(), "x")
	defer span.End()
	if !span.SpanContext().IsSampled() {
		t.Error("no span is recorded although an exporter is asked for")
	}
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	_, off := setup(t, telemetry.Options{Service: "edge"}).Tracer.Start(t.Context(), "x")
	if off.SpanContext().IsValid() {
		t.Error("a span is recorded although nobody asked")
	}
	t.Setenv("OTEL_TRACES_EXPORTER", "nonsense")
	if _, err := telemetry.New(t.Context(), telemetry.Options{Service: "edge"}); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("an unknown exporter gives %v", err)
	}
}

// What tracing costs a hot path when it is off: a span, and its propagation.
func BenchmarkTracingOff(b *testing.B) {
	tel, err := telemetry.New(b.Context(), telemetry.Options{Service: "edge"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		ctx, span := tel.Tracer.Start(b.Context(), "send")
		if telemetry.Inject(ctx, nil) != nil {
			b.Fatal("a header")
		}
		span.End()
	}
}
