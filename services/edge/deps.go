//go:build deps

// Package deps keeps the chosen modules in go.mod until code imports them. Deleted before the first release.
package edge

import (
	_ "github.com/nats-io/nats.go"
	_ "github.com/caarlos0/env/v11"
	_ "go.opentelemetry.io/otel"
	_ "go.opentelemetry.io/otel/metric"
	_ "go.opentelemetry.io/otel/trace"
	_ "github.com/golang-jwt/jwt/v5"
	_ "github.com/gobwas/ws"
	_ "golang.org/x/sys/unix"
	_ "pgregory.net/rapid"
	_ "go.uber.org/goleak"
	_ "github.com/confab-chat/confab/shared"
	_ "github.com/confab-chat/confab/proto"
)
