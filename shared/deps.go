//go:build deps

// Package deps keeps the chosen modules in go.mod until code imports them. Deleted before the first release.
package shared

import (
	_ "github.com/nats-io/nats.go"
	_ "github.com/nats-io/nats.go/jetstream"
	_ "github.com/nats-io/nats-server/v2/server"
	_ "github.com/caarlos0/env/v11"
	_ "go.opentelemetry.io/otel"
	_ "go.opentelemetry.io/otel/sdk/trace"
	_ "go.opentelemetry.io/otel/sdk/metric"
	_ "go.opentelemetry.io/contrib/exporters/autoexport"
	_ "go.opentelemetry.io/otel/exporters/prometheus"
	_ "go.opentelemetry.io/contrib/instrumentation/runtime"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/golang-jwt/jwt/v5"
	_ "github.com/gobwas/ws"
	_ "pgregory.net/rapid"
	_ "go.uber.org/goleak"
)
