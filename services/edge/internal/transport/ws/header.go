package ws

import "encoding/binary"

const (
	// maxHeader is the longest client header: 2 bytes, 8 of length, 4 of mask.
	maxHeader = 14
	// maxControl is the longest payload of a control frame (5.5).
	maxControl = 125
)

// header is a frame's header (RFC 6455, section 5.2).
type header struct {
	length int64
	mask   [4]byte
	op     OpCode
	fin    bool
}

// parseHeader reads a client's frame header. n == 0 without an error means
// that b does not hold all of it yet; what can be refused by the first two
// bytes is refused by them.
func parseHeader(b []byte) (h header, n int, err error) {
	if len(b) < 2 {
		return h, 0, nil
	}
	h.fin = b[0]&0x80 != 0
	h.op = OpCode(b[0] & 0x0f)
	short := b[1] & 0x7f
	if err := checkStart(b[0], b[1]); err != nil {
		return h, 0, err
	}
	n = 2
	switch short {
	case 126:
		n = 4
	case 127:
		n = 10
	}
	if len(b) < n+4 {
		return h, 0, nil
	}
	switch short {
	case 126:
		h.length = int64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		v := binary.BigEndian.Uint64(b[2:])
		if v>>63 != 0 {
			return h, 0, ErrLength
		}
		h.length = int64(v)
	default:
		h.length = int64(short)
	}
	h.mask = [4]byte(b[n:])
	return h, n + 4, nil
}

// checkStart applies the rules that concern one frame alone.
func checkStart(first, second byte) error {
	op := OpCode(first & 0x0f)
	switch {
	case first&0x70 != 0:
		return ErrReservedBits
	case op.reserved():
		return ErrReservedOpCode
	case op.control() && first&0x80 == 0:
		return ErrControlFragment
	case op.control() && second&0x7f > maxControl:
		return ErrControlLength
	case second&0x80 == 0:
		return ErrUnmasked
	}
	return nil
}
