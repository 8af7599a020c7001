package conn_test

import (
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn/conntest"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// sink is a transport that takes everything and keeps nothing.
type sink struct{ *conntest.Transport }

func (s sink) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkSend is what a delivery costs beside the system's write: 1000
// members, one batch each turn. Per member and turn there must be no allocation.
func BenchmarkSend(b *testing.B) {
	const members = 1000
	now := time.Unix(1_700_000_000, 0)
	loop := poll.NewManual(now, time.Second)
	set := conn.NewFactory(loop, conn.Options{}, new(conn.Stats))
	var conns []*conn.Conn
	for range members {
		conns = append(conns, set.Open(sink{conntest.New(loop)}, conn.EchoHandler{}, nil, nil))
	}
	for _, bench := range []struct {
		name  string
		sends int
	}{{"one batch", 1}, {"four batches", 4}} {
		b.Run(bench.name, func(b *testing.B) {
			batch := text(strings.Repeat("m", 128))
			b.ReportAllocs()
			for b.Loop() {
				for range bench.sends {
					for _, c := range conns {
						c.Send(batch, conn.Message)
					}
				}
				loop.Turn(now)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*members*bench.sends), "ns/delivery")
		})
	}
}

// BenchmarkEcho is parse, handler and reply, without sockets.
func BenchmarkEcho(b *testing.B) {
	now := time.Unix(1_700_000_000, 0)
	loop := poll.NewManual(now, time.Second)
	set := conn.NewFactory(loop, conn.Options{}, new(conn.Stats))
	t := conntest.New(loop)
	set.Open(sink{t}, conn.EchoHandler{}, nil, nil)
	in := conntest.ClientFrame(true, ws.OpText, strings.Repeat("m", 128))
	buf := make([]byte, len(in))
	b.ReportAllocs()
	for b.Loop() {
		copy(buf, in)
		t.Receive(b, buf)
		loop.Turn(now)
	}
}
