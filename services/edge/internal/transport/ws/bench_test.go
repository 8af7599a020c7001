package ws_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

type drain struct{ n int }

func (d *drain) Data(_ ws.OpCode, p []byte) bool { d.n += len(p); return true }
func (d *drain) Control(ws.OpCode, []byte) bool  { return true }

// BenchmarkDecode is the read path without I/O: parse, unmask, check text.
func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{16, 128, 2000, 60000} {
		b.Run(fmt.Sprintf("text of %d", n), func(b *testing.B) {
			in := frame(true, ws.OpText, strings.Repeat("a", n))
			buf := make([]byte, len(in))
			d := ws.NewDecoder(ws.DefaultLimits())
			var p *ws.Partial
			var s drain
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				copy(buf, in)
				if _, err := d.Feed(&p, buf, &s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecodeCut is the same with every message cut in two.
func BenchmarkDecodeCut(b *testing.B) {
	in := frame(true, ws.OpText, strings.Repeat("a", 128))
	buf := make([]byte, len(in))
	d := ws.NewDecoder(ws.DefaultLimits())
	var p *ws.Partial
	var s drain
	b.ReportAllocs()
	for b.Loop() {
		copy(buf, in)
		for _, part := range [][]byte{buf[:40], buf[40:]} {
			if _, err := d.Feed(&p, part, &s); err != nil {
				b.Fatal(err)
			}
		}
	}
}
