// Package stamp marks a published message with the time it was due and its number in the
// room. A receiver then sees how late a message is and whether one is missing, without
// parsing the rest.
package stamp

import (
	"bytes"
	"time"
)

const (
	mark   = "@@"
	digits = "0123456789abcdef"

	// Size is the length of a stamp in bytes: the mark, 16 digits of time, 8 of number.
	Size = len(mark) + 16 + 8
)

var (
	markBytes = []byte(mark)
	start     = time.Now()
	origin    = start.UnixNano()
)

// Now returns nanoseconds since 1970. It never goes back within a process.
func Now() int64 { return origin + int64(time.Since(start)) }

// Append appends a content of size bytes, at least Size, for message n of a room, which was
// due at the given time.
func Append(dst []byte, due int64, n uint32, size int) []byte {
	dst = append(dst, mark...)
	dst = appendHex(dst, uint64(due), 16)
	dst = appendHex(dst, uint64(n), 8)
	for i := Size; i < size; i++ {
		dst = append(dst, 'a'+byte(i%26))
	}
	return dst
}

func appendHex(dst []byte, v uint64, width int) []byte {
	for shift := 4 * (width - 1); shift >= 0; shift -= 4 {
		dst = append(dst, digits[v>>shift&15])
	}
	return dst
}

// Find returns the first stamp in b.
func Find(b []byte) (due int64, n uint32, ok bool) {
	i := bytes.Index(b, markBytes)
	if i < 0 || len(b) < i+Size {
		return 0, 0, false
	}
	b = b[i+len(mark):]
	at, ok1 := hex(b[:16])
	number, ok2 := hex(b[16:24])
	return int64(at), uint32(number), ok1 && ok2
}

func hex(b []byte) (v uint64, ok bool) {
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		v = v<<4 | uint64(c)
	}
	return v, true
}
