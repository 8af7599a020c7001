// Package telemetry sets up logs, metrics and traces of one service: slog with
// trace ids, OpenTelemetry metrics served to Prometheus, and W3C trace context
// over NATS headers. Exporters are off unless the standard OTEL_* variables ask
// for them; a trace that is not sampled costs one comparison.
package telemetry
