package conn_test

import (
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn/conntest"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	f := opened(t, conn.Options{Heartbeat: 10 * time.Second})
	f.said()
	f.onBeat = func() { f.conn.Send(text("ping"), conn.Reply) }
	for range 6 {
		f.pass(10 * time.Second)
		f.receive(conntest.ClientFrame(true, ws.OpPong, ""))
	}
	if got := f.said(); got != strings.Repeat("heartbeat; ", 5)+"heartbeat" {
		t.Errorf("handled %q", got)
	}
	f.want("written", f.wrote(), strings.TrimSpace(strings.Repeat("1:ping 9: ", 6)))
	if f.wire.Writes != 6 {
		t.Errorf("%d writes for 6 heartbeats", f.wire.Writes)
	}
}

func TestHeartbeatTimeout(t *testing.T) {
	t.Parallel()
	f := opened(t, conn.Options{Heartbeat: 10 * time.Second})
	f.said()
	f.receive(conntest.Text("a")[:2]) // any byte is life
	f.receive(conntest.Text("a")[2:])
	f.pass(20 * time.Second)
	f.want("handled", f.said(), "1 a; heartbeat; heartbeat")
	f.pass(time.Second)
	f.want("written", f.wrote(), "9: 9: close 4002 heartbeat timeout")
	f.pass(3 * time.Second)
	f.want("handled", f.said(), "closed ours 4002")
}

// TestHeartbeatSpread: connections that opened together do not ping together.
func TestHeartbeatSpread(t *testing.T) {
	t.Parallel()
	f := start(t, conn.Options{Heartbeat: 30 * time.Second})
	for range 150 {
		f.factory.Open(conntest.New(f.loop), f, nil, nil)
	}
	f.turn()
	var most int
	for range 31 {
		f.said()
		f.pass(time.Second)
		most = max(most, len(f.calls))
	}
	if most > 10 {
		t.Errorf("%d of 150 heartbeats in one second", most)
	}
}

func TestNoHeartbeat(t *testing.T) {
	t.Parallel()
	f := opened(t, conn.Options{Heartbeat: -1})
	f.said()
	f.pass(10 * time.Minute)
	f.want("handled", f.said(), "")
	f.want("written", f.wrote(), "")
}

func TestUnfinished(t *testing.T) {
	t.Parallel()
	whole := conntest.Text("hello")
	for _, c := range []struct {
		name   string
		pieces [][]byte // one every 5 seconds
		want   string
	}{
		{"header without body", [][]byte{whole[:6]}, "opened; closed ours 1008"},
		{"half a header", [][]byte{whole[:1]}, "opened; closed ours 1008"},
		{"a byte now and then", [][]byte{whole[:7], whole[7:8], whole[8:9], whole[9:10]}, "opened; closed ours 1008"},
		{"fragments with pings between", [][]byte{
			conntest.ClientFrame(false, ws.OpText, "a"), conntest.ClientFrame(true, ws.OpPing, ""),
			conntest.ClientFrame(false, 0, "b"), conntest.ClientFrame(true, ws.OpPing, ""),
		}, "opened; closed ours 1008"},
		{"in time", [][]byte{whole[:7], whole[7:8], whole[8:]}, "opened; 1 hello"},
		{"always cut, never unfinished", [][]byte{
			whole[:7], append(whole[7:len(whole):len(whole)], whole[:3]...),
			append(whole[3:len(whole):len(whole)], whole[:9]...), append(whole[9:len(whole):len(whole)], whole[:2]...), whole[2:],
		}, "opened; 1 hello; 1 hello; 1 hello; 1 hello"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := opened(t, conn.Options{Heartbeat: -1})
			for _, p := range c.pieces {
				f.receive(append([]byte{}, p...))
				f.pass(5 * time.Second)
			}
			f.pass(20 * time.Second)
			f.want("handled", f.said(), c.want)
		})
	}
}

func TestPings(t *testing.T) {
	t.Parallel()
	ping := conntest.ClientFrame(true, ws.OpPing, "p")
	pong := conntest.ClientFrame(true, ws.OpPong, "p")
	t.Run("within the rate", func(t *testing.T) {
		t.Parallel()
		f := opened(t, conn.Options{Heartbeat: -1})
		f.said()
		for range 5 {
			for range 10 {
				f.receive(append([]byte{}, ping...))
			}
			f.pass(time.Second)
		}
		f.want("handled", f.said(), "")
		f.want("written", f.wrote(), strings.TrimSpace(strings.Repeat("a:p ", 50)))
	})
	t.Run("flood", func(t *testing.T) {
		t.Parallel()
		f := opened(t, conn.Options{})
		f.said()
		for range 11 {
			f.receive(append([]byte{}, ping...))
		}
		f.want("handled", f.said(), "closed ours 1008")
	})
	t.Run("conformance", func(t *testing.T) {
		t.Parallel()
		f := opened(t, conn.ConformanceOptions())
		f.said()
		for range 1000 {
			f.receive(append([]byte{}, ping...))
		}
		f.want("handled", f.said(), "")
	})
	t.Run("pongs are ignored", func(t *testing.T) {
		t.Parallel()
		f := opened(t, conn.Options{})
		f.said()
		for range 1000 {
			f.receive(append([]byte{}, pong...))
		}
		f.want("handled", f.said(), "")
		if f.stats.Pongs.Load() != 1000 {
			t.Error("not counted")
		}
	})
}

// TestEcho: the handler for conformance suites, also with a client that sends more than it
// reads.
func TestEcho(t *testing.T) {
	t.Parallel()
	f := start(t, conn.ConformanceOptions())
	f.factory.Open(f.wire, conn.EchoHandler{}, nil, nil)
	f.wire.Room = 0
	big := strings.Repeat("e", 50_000)
	var sent int
	for !f.wire.Paused {
		f.receive(conntest.ClientFrame(true, ws.OpBinary, big))
		sent++
	}
	if sent > 3 {
		t.Errorf("%d messages taken from a client that does not read", sent)
	}
	f.wire.Drain(-1)
	f.turn()
	if f.wire.Paused {
		t.Error("still paused after the client has read")
	}
	f.want("echo", f.wrote(), strings.TrimSpace(strings.Repeat("2:"+big+" ", sent)))
}
