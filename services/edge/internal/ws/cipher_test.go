package ws_test

import (
	"bytes"
	"testing"

	gobwas "github.com/gobwas/ws"
)

// TestCipher holds the library's assembly, on which every byte from a client
// depends, against the definition in RFC 6455 section 5.3: all lengths around
// its block sizes, all alignments, all offsets, and the bytes outside.
func TestCipher(t *testing.T) {
	t.Parallel()
	mask := [4]byte{0x12, 0x34, 0x56, 0x78}
	const room = 16
	for n := range 300 {
		for align := range 9 {
			for offset := range 9 {
				buf := make([]byte, room+align+n+room)
				for i := range buf {
					buf[i] = byte(i * 7)
				}
				want := bytes.Clone(buf)
				from := room + align
				for i := range n {
					want[from+i] ^= mask[(offset+i)%4]
				}
				gobwas.Cipher(buf[from:from+n:from+n], mask, offset)
				if !bytes.Equal(buf, want) {
					t.Fatalf("length %d, alignment %d, offset %d", n, align, offset)
				}
			}
		}
	}
}
