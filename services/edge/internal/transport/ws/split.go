package ws

import "encoding/binary"

// Split returns the first of several server frames, as AppendFrame makes them: whole,
// unfragmented, unmasked. If frames does not hold a whole one, payload and rest are nil.
func Split(frames []byte) (op OpCode, payload, rest []byte) {
	if len(frames) < 2 {
		return 0, nil, nil
	}
	op = OpCode(frames[0] & 0x0f)
	n, head := int(frames[1]), 2
	switch {
	case n == 126 && len(frames) >= 4:
		n, head = int(binary.BigEndian.Uint16(frames[2:])), 4
	case n == 127 && len(frames) >= 10:
		n, head = int(binary.BigEndian.Uint64(frames[2:])), 10
	}
	if n > len(frames)-head {
		return op, nil, nil
	}
	return op, frames[head : head+n], frames[head+n:]
}
