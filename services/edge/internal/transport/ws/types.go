// Package ws is the server side of WebSocket framing (RFC 6455) on bytes: it parses frames,
// puts messages together within limits, and appends frames. It does no I/O and has no clock.
// Unlike gobwas/ws, with which its tests compare it, it limits the size and the fragments of
// a message, and finds invalid UTF-8 in a text before the whole message has arrived.
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

// Limits bound the memory that one peer can use.
type Limits struct {
	Message   int // payload bytes of a message, over all its fragments
	Fragments int // frames of a message, empty ones included
}

// DefaultLimits are those of the client contract: the largest message, and more fragments
// than a useful client sends.
func DefaultLimits() Limits { return Limits{Message: 64 << 10, Fragments: 64} }

// ConformanceLimits are those that the Autobahn suite needs.
func ConformanceLimits() Limits { return Limits{Message: 16 << 20, Fragments: 65536} }
