package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel/attribute"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"
)

// cardinality bounds the attribute sets of one instrument; the excess is counted under
// otel_metric_overflow. All our attributes have a closed set of values.
const cardinality = 1000

// Options identify the service and its outputs. Service is required.
type Options struct {
	Service  string
	Instance string
	Version  string

	Log       io.Writer  // default os.Stdout
	LogText   bool       // text for people instead of JSON
	LogLevel  slog.Level // default info
	NoMetrics bool       // no instruments at all (CONFAB_ENABLE_METRICS=false)
}

// Telemetry holds the logger, meter and tracer of one service. Its fields are static and
// may be used concurrently. A process that runs several services has one for each; their
// series differ in the label service_name.
type Telemetry struct {
	Logger   *slog.Logger
	Meter    metric.Meter
	Tracer   trace.Tracer
	Gatherer prometheus.Gatherer // the instruments, for Handler

	shutdown []func(context.Context) error
}

// New sets up telemetry from o and the OTEL_* variables. The error names the variable
// with an invalid value.
func New(ctx context.Context, o Options) (*Telemetry, error) {
	res := resource.NewWithAttributes(semconv.SchemaURL,
		semconv.ServiceName(o.Service), semconv.ServiceVersion(o.Version), semconv.ServiceInstanceID(o.Instance))
	t := &Telemetry{Logger: logger(o)}
	if err := t.metrics(ctx, o, res); err != nil {
		return nil, fmt.Errorf("set up metrics: %w", err)
	}
	if err := t.traces(ctx, o, res); err != nil {
		return nil, fmt.Errorf("set up traces: %w", err)
	}
	return t, nil
}

// Shutdown exports what is still queued, until ctx ends.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var errs []error
	for _, f := range slices.Backward(t.shutdown) {
		errs = append(errs, f(ctx))
	}
	return errors.Join(errs...)
}

// Handler serves the instruments of several services in one process to Prometheus.
func Handler(g ...prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(prometheus.Gatherers(g), promhttp.HandlerOpts{})
}

// Seconds are the bucket boundaries of duration histograms. 0.2 and 0.5 are the
// thresholds of the accept and delivery objectives.
func Seconds() metric.HistogramOption {
	return metric.WithExplicitBucketBoundaries(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10)
}

func logger(o Options) *slog.Logger {
	opts := &slog.HandlerOptions{Level: o.LogLevel, ReplaceAttr: utcMillis}
	out := o.Log
	if out == nil {
		out = os.Stdout
	}
	var h slog.Handler = slog.NewJSONHandler(out, opts)
	if o.LogText {
		h = slog.NewTextHandler(out, opts)
	}
	l := slog.New(withTrace{h}).With("service", o.Service)
	if o.Instance != "" && !o.LogText {
		l = l.With("instance", o.Instance, "version", o.Version)
	}
	return l
}

// utcMillis writes the time of a line as RFC 3339 in UTC with milliseconds.
func utcMillis(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		a.Value = slog.StringValue(a.Value.Time().UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	}
	return a
}

func (t *Telemetry) metrics(ctx context.Context, o Options, res *resource.Resource) error {
	registry := prometheus.NewRegistry()
	t.Gatherer = registry
	if o.NoMetrics {
		t.Meter = noopmetric.Meter{}
		return nil
	}
	reader, err := promexporter.New(
		promexporter.WithRegisterer(registry),
		promexporter.WithoutScopeInfo(),
		promexporter.WithResourceAsConstantLabels(attribute.NewAllowKeysFilter(semconv.ServiceNameKey)),
	)
	if err != nil {
		return err
	}
	opts := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithReader(reader), sdkmetric.WithCardinalityLimit(cardinality)}
	if requested("METRICS") {
		push, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return fmt.Errorf("OTEL_METRICS_EXPORTER=%q: %w", os.Getenv("OTEL_METRICS_EXPORTER"), err)
		}
		opts = append(opts, sdkmetric.WithReader(push))
	}
	provider := sdkmetric.NewMeterProvider(opts...)
	t.shutdown = append(t.shutdown, provider.Shutdown)
	t.Meter = provider.Meter("confab")
	return runtime.Start(runtime.WithMeterProvider(provider), runtime.WithMinimumReadMemStatsInterval(15*time.Second))
}

func (t *Telemetry) traces(ctx context.Context, o Options, res *resource.Resource) error {
	if !requested("TRACES") {
		t.Tracer = nooptrace.NewTracerProvider().Tracer("confab")
		return nil
	}
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return fmt.Errorf("OTEL_TRACES_EXPORTER=%q: %w", os.Getenv("OTEL_TRACES_EXPORTER"), err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(res), sdktrace.WithBatcher(exporter))
	t.shutdown = append(t.shutdown, provider.Shutdown)
	t.Tracer = provider.Tracer("confab", trace.WithInstrumentationVersion(o.Version))
	return nil
}

// requested reports whether the environment asks to export a signal: by the name of an
// exporter, or by an endpoint alone, which means OTLP. OpenTelemetry's own default, OTLP
// to localhost, would log errors on every machine without a collector.
func requested(signal string) bool {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" {
		return false
	}
	if exporter := os.Getenv("OTEL_" + signal + "_EXPORTER"); exporter != "" {
		return !strings.EqualFold(exporter, "none")
	}
	return cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT")) != ""
}

// withTrace adds the trace and span id of a log record's context.
type withTrace struct{ slog.Handler }

func (h withTrace) Handle(ctx context.Context, r slog.Record) error {
	if s := trace.SpanContextFromContext(ctx); s.IsValid() {
		r.AddAttrs(slog.String("trace_id", s.TraceID().String()), slog.String("span_id", s.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h withTrace) WithAttrs(attrs []slog.Attr) slog.Handler {
	return withTrace{h.Handler.WithAttrs(attrs)}
}
func (h withTrace) WithGroup(name string) slog.Handler { return withTrace{h.Handler.WithGroup(name)} }
