//go:build deps

// Package deps keeps the chosen modules in go.mod until code imports them. Deleted before the first release.
package ratelimit

import (
	_ "github.com/nats-io/nats.go"
	_ "github.com/nats-io/nats.go/jetstream"
	_ "github.com/caarlos0/env/v11"
	_ "go.opentelemetry.io/otel"
	_ "go.opentelemetry.io/otel/metric"
	_ "go.opentelemetry.io/otel/trace"
	_ "pgregory.net/rapid"
	_ "go.uber.org/goleak"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
)
