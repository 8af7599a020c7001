package ws

import (
	"encoding/binary"
	"math/bits"
)

// unmask xors p with the mask, of which pos bytes were used before (RFC 6455,
// section 5.3), 8 bytes a step.
func unmask(p []byte, mask [4]byte, pos int) {
	// Little-endian on any machine: byte i of the key meets byte i of p.
	word := bits.RotateLeft32(binary.LittleEndian.Uint32(mask[:]), -8*(pos&3))
	key := uint64(word)<<32 | uint64(word)
	for len(p) >= 32 {
		b := p[:32]
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^key)
		binary.LittleEndian.PutUint64(b[8:], binary.LittleEndian.Uint64(b[8:])^key)
		binary.LittleEndian.PutUint64(b[16:], binary.LittleEndian.Uint64(b[16:])^key)
		binary.LittleEndian.PutUint64(b[24:], binary.LittleEndian.Uint64(b[24:])^key)
		p = p[32:]
	}
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^key)
		p = p[8:]
	}
	for i := range p {
		p[i] ^= byte(key >> (8 * i))
	}
}
