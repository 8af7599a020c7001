package ws

import (
	"encoding/binary"

	gobwas "github.com/gobwas/ws"
)

// maxHeader is the longest client header: 2 bytes, 8 of length, 4 of mask.
const maxHeader = 14

// parseHeader reads a client's frame header. n == 0 without an error means
// that b does not hold all of it yet; what can be refused by the first two
// bytes is refused by them.
func parseHeader(b []byte) (h gobwas.Header, n int, err error) {
	if len(b) < 2 {
		return h, 0, nil
	}
	h.Fin = b[0]&0x80 != 0
	h.Rsv = b[0] & 0x70 >> 4
	h.OpCode = OpCode(b[0] & 0x0f)
	h.Masked = b[1]&0x80 != 0
	short := b[1] & 0x7f
	if err := checkStart(h, short); err != nil {
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
		h.Length = int64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		v := binary.BigEndian.Uint64(b[2:])
		if v>>63 != 0 {
			return h, 0, ErrLength
		}
		h.Length = int64(v)
	default:
		h.Length = int64(short)
	}
	h.Mask = [4]byte(b[n:])
	return h, n + 4, nil
}

// checkStart applies the rules that concern one frame alone.
func checkStart(h gobwas.Header, short byte) error {
	switch {
	case h.Rsv != 0:
		return ErrReservedBits
	case h.OpCode.IsReserved():
		return ErrReservedOpCode
	case h.OpCode.IsControl() && !h.Fin:
		return ErrControlFragment
	case h.OpCode.IsControl() && short > gobwas.MaxControlFramePayloadSize:
		return ErrControlLength
	case !h.Masked:
		return ErrUnmasked
	}
	return nil
}
