package ws

import (
	"bytes"
	"fmt"
	"testing"

	gobwas "github.com/gobwas/ws"
)

// TestUnmask holds it against the definition in RFC 6455 section 5.3 and
// against gobwas: all lengths around the block sizes, all alignments, all
// positions, and the bytes outside.
func TestUnmask(t *testing.T) {
	t.Parallel()
	mask := [4]byte{0x12, 0x34, 0x56, 0x78}
	const room = 16
	for n := range 100 {
		for align := range 9 {
			for pos := range 9 {
				buf := make([]byte, room+align+n+room)
				for i := range buf {
					buf[i] = byte(i * 7)
				}
				want, theirs := bytes.Clone(buf), bytes.Clone(buf)
				from, to := room+align, room+align+n
				for i := range n {
					want[from+i] ^= mask[(pos+i)%4]
				}
				unmask(buf[from:to:to], mask, pos)
				gobwas.Cipher(theirs[from:to:to], mask, pos)
				if !bytes.Equal(buf, want) || !bytes.Equal(theirs, want) {
					t.Fatalf("length %d, alignment %d, position %d", n, align, pos)
				}
			}
		}
	}
}

func BenchmarkUnmask(b *testing.B) {
	for _, n := range []int{8, 128, 2000, 60000} {
		p := make([]byte, n)
		for name, f := range map[string]func([]byte, [4]byte, int){"ours": unmask, "gobwas": gobwas.Cipher} {
			b.Run(fmt.Sprintf("%d/%s", n, name), func(b *testing.B) {
				b.SetBytes(int64(n))
				for b.Loop() {
					f(p, [4]byte{1, 2, 3, 4}, 0)
				}
			})
		}
	}
}
