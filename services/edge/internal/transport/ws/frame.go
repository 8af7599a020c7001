package ws

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

// maxReason is what a close frame has room for beside the code.
const maxReason = 123

// HeaderSize is the length of a server's frame header for a payload of n bytes.
func HeaderSize(n int) int {
	switch {
	case n < 126:
		return 2
	case n <= 0xffff:
		return 4
	}
	return 10
}

// AppendHeader appends the header of an unfragmented server frame (unmasked,
// RFC 6455 section 5.1) for a payload of n bytes, and makes room for that.
func AppendHeader(dst []byte, op OpCode, n int) []byte {
	dst = append(slices.Grow(dst, HeaderSize(n)+n), 0x80|byte(op))
	switch {
	case n < 126:
		return append(dst, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
}

// AppendFrame appends a whole server frame.
func AppendFrame(dst []byte, op OpCode, payload []byte) []byte {
	return append(AppendHeader(dst, op, len(payload)), payload...)
}

// AppendClose appends a close frame. The reason is cut to what fits, at a
// character. Code 1005 stands for "none" and makes an empty payload.
func AppendClose(dst []byte, code StatusCode, reason string) []byte {
	if code == 1005 {
		return AppendHeader(dst, OpClose, 0)
	}
	if len(reason) > maxReason {
		cut := maxReason
		for cut > 0 && !utf8.RuneStart(reason[cut]) {
			cut--
		}
		reason = reason[:cut]
	}
	dst = AppendHeader(dst, OpClose, 2+len(reason))
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, reason...)
}

// ParseClose reads a close frame's payload: code 1005 when it is empty, or a
// *Violation. The reason is part of payload.
func ParseClose(payload []byte) (code StatusCode, reason []byte, err error) {
	switch len(payload) {
	case 0:
		return 1005, nil, nil
	case 1:
		return 0, nil, ErrCloseLength
	}
	code = StatusCode(binary.BigEndian.Uint16(payload))
	if !sendable(code) {
		return 0, nil, ErrCloseCode
	}
	if reason = payload[2:]; !utf8.Valid(reason) {
		return 0, nil, ErrText
	}
	return code, reason, nil
}

// sendable reports whether a peer may send the code: those of RFC 6455 section
// 7.4.1 that are not reserved, the three that IANA added, and the free ranges.
func sendable(c StatusCode) bool {
	switch {
	case c >= 1000 && c <= 1003, c >= 1007 && c <= 1014, c >= 3000 && c <= 4999:
		return true
	}
	return false
}
