// Package ws is the WebSocket framing of RFC 6455 on bytes, server side:
// parsing, assembly of messages within limits, and appending frames. It does
// no I/O and has no clock.
package ws

import gobwas "github.com/gobwas/ws"

// OpCode is a frame's operation, RFC 6455 section 5.2.
type OpCode = gobwas.OpCode

// StatusCode is a close code, RFC 6455 section 7.4.
type StatusCode = gobwas.StatusCode

const (
	OpContinuation = gobwas.OpContinuation
	OpText         = gobwas.OpText
	OpBinary       = gobwas.OpBinary
	OpClose        = gobwas.OpClose
	OpPing         = gobwas.OpPing
	OpPong         = gobwas.OpPong
)

// Limits bound what one peer can make us hold.
type Limits struct {
	Message   int // payload bytes of a message, over all its fragments
	Fragments int // frames of a message, empty ones included
}

// DefaultLimits are the product's: the frame limit of the client contract,
// and the most fragments that any sane client sends.
func DefaultLimits() Limits { return Limits{Message: 64 << 10, Fragments: 64} }

// ConformanceLimits are what the Autobahn suite needs.
func ConformanceLimits() Limits { return Limits{Message: 16 << 20, Fragments: 65536} }
