//go:build deps

// Package deps keeps the chosen modules in go.mod until code imports them. Deleted before the first release.
package tools

import (
	_ "github.com/nats-io/nats.go"
	_ "github.com/nats-io/nats-server/v2/server"
	_ "github.com/chromedp/chromedp"
	_ "github.com/compose-spec/compose-go/v2/loader"
	_ "golang.org/x/tools/go/packages"
	_ "github.com/golang-jwt/jwt/v5"
	_ "github.com/HdrHistogram/hdrhistogram-go"
	_ "github.com/fxamacker/cbor/v2"
	_ "github.com/vmihailenco/msgpack/v5"
	_ "google.golang.org/protobuf/encoding/protowire"
	_ "go.uber.org/goleak"
	_ "github.com/gobwas/ws"
)
