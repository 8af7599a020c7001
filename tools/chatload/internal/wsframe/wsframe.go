// Package wsframe is a client's half of WebSocket framing (RFC 6455, section 5), for
// a load generator: frames are built into and taken out of the caller's buffers, and
// nothing is copied or allocated.
package wsframe

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
)

// Opcode is the kind of a frame (RFC 6455, section 5.2).
type Opcode uint8

// The opcodes that a generator meets.
const (
	Text   Opcode = 1
	Binary Opcode = 2
	Close  Opcode = 8
	Ping   Opcode = 9
	Pong   Opcode = 10
)

var (
	// ErrFragmented is returned by Next for a message in several frames, which no
	// server that is measured here sends.
	ErrFragmented = errors.New("a fragmented message")
	// ErrMasked is returned by Next for a frame that a server must not send
	// (RFC 6455, section 5.1).
	ErrMasked = errors.New("a masked frame from a server")
	// ErrTooLong is returned by Next for a frame over MaxPayload.
	ErrTooLong = errors.New("a frame over 16 MiB")
)

// MaxPayload bounds what one frame may make a reader keep, in bytes.
const MaxPayload = 16 << 20

// Append appends a whole frame, masked as a client's must be.
func Append(dst []byte, op Opcode, payload []byte) []byte {
	dst = append(dst, 0x80|byte(op))
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(n))
	}
	var key [4]byte
	binary.NativeEndian.PutUint32(key[:], rand.Uint32())
	dst = append(dst, key[:]...)
	for i, c := range payload {
		dst = append(dst, c^key[i&3])
	}
	return dst
}

// Next takes the first frame off b. payload and rest are parts of b. When b holds
// no whole frame, ok is false and rest is b.
func Next(b []byte) (op Opcode, payload, rest []byte, ok bool, err error) {
	if len(b) < 2 {
		return 0, nil, b, false, nil
	}
	op = Opcode(b[0] & 15)
	switch {
	case b[0]&0x80 == 0 || op == 0:
		return 0, nil, b, false, ErrFragmented
	case b[1]&0x80 != 0:
		return 0, nil, b, false, ErrMasked
	}
	header, n := 2, uint64(b[1])
	switch n {
	case 126:
		if header = 4; len(b) < header {
			return 0, nil, b, false, nil
		}
		n = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if header = 10; len(b) < header {
			return 0, nil, b, false, nil
		}
		n = binary.BigEndian.Uint64(b[2:])
	}
	if n > MaxPayload {
		return 0, nil, b, false, ErrTooLong
	}
	end := header + int(n)
	if len(b) < end {
		return 0, nil, b, false, nil
	}
	return op, b[header:end], b[end:], true, nil
}
