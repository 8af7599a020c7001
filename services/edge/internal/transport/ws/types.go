// Package ws is the WebSocket framing of RFC 6455 on bytes, server side:
// parsing, assembly of messages within limits, and appending frames. It does
// no I/O and has no clock. Limits and text that is checked as it comes are what
// it has over gobwas/ws, against which its tests hold it.
package ws

// OpCode is a frame's operation, RFC 6455 section 5.2: 4 bits.
type OpCode byte

const (
	OpContinuation OpCode = 0x0
	OpText         OpCode = 0x1
	OpBinary       OpCode = 0x2
	OpClose        OpCode = 0x8
	OpPing         OpCode = 0x9
	OpPong         OpCode = 0xa
)

// control reports whether the frame is a control frame, not (part of) a message.
func (o OpCode) control() bool { return o&0x8 != 0 }

// reserved reports whether the opcode has no meaning in any standard.
func (o OpCode) reserved() bool { return o&0x7 > 2 }

// StatusCode is a close code, RFC 6455 section 7.4.
type StatusCode uint16

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
