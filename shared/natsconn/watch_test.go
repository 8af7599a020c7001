package natsconn_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natsconn"
	"github.com/confab-chat/confab/shared/natstest"
)

// pair is two servers behind gates, and the addresses of the gates.
type pair struct {
	servers [2]*natstest.Server
	gates   [2]*natstest.Gate
	urls    [2]string
}

func newPair(t *testing.T) *pair {
	p := new(pair)
	for i := range p.servers {
		p.servers[i] = natstest.Start(t)
		p.gates[i] = natstest.NewGate(t, p.servers[i])
		p.urls[i] = "nats://" + p.gates[i].Listen(t)
	}
	return p
}

// of returns the index of the server that a connection uses; -1 for none.
func (p *pair) of(nc *nats.Conn) int {
	for i, s := range p.servers {
		if nc.ConnectedServerId() == s.NATS().ID() {
			return i
		}
	}
	return -1
}

// withoutPings leaves the check of the server to natsconn.
var withoutPings = []nats.Option{nats.PingInterval(time.Hour)}

func TestMovesFromAHungServer(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	log := &logged{level: slog.LevelInfo}
	nc := connect(t, natsconn.Options{URL: p.urls[0] + "," + p.urls[1], Extra: withoutPings, Logger: log.logger()})
	eventually.True(t, "connected", nc.IsConnected)
	hung := p.of(nc)
	p.gates[hung].Blackhole(natstest.Both)
	eventually.True(t, "another server", func() bool { return p.of(nc) == 1-hung })
	if n := log.lines("nats connection moves"); n != 1 {
		t.Errorf("moved %d times", n)
	}
}

// The only server hangs: the connection stays, and is not reported as up.
func TestTheOnlyServerHangs(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	var status natsconn.Status
	connect(t, natsconn.Options{URL: p.urls[0], Extra: withoutPings, Status: &status})
	eventually.True(t, "up", func() bool { return status.State().Up() })
	p.gates[0].Blackhole(natstest.Down)
	eventually.True(t, "reported as down", func() bool { return !status.State().Up() })
	p.gates[0].Open()
	eventually.True(t, "up again", func() bool { return status.State().Up() })
	if n := status.Reconnects(); n != 0 {
		t.Errorf("%d reconnects", n)
	}
}

// A server answers, but what the others publish does not arrive over it.
func TestMovesFromAServerThatIsCutOff(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	nc := connect(t, natsconn.Options{URL: p.urls[0] + "," + p.urls[1], Peers: "peers.*"})
	eventually.True(t, "connected", nc.IsConnected)
	cut := p.of(nc)
	peers := [2]*nats.Conn{p.servers[0].Conn(t), p.servers[1].Conn(t)}
	publish := func(i int) {
		if err := peers[i].Publish("peers.a", nil); err != nil {
			t.Error(err)
		}
	}
	sub, err := nc.SubscribeSync("peers.*")
	if err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "a peer is heard", func() bool {
		publish(cut)
		_, err := sub.NextMsg(10 * time.Millisecond)
		return err == nil
	})
	eventually.True(t, "another server", func() bool {
		publish(1 - cut)
		return p.of(nc) == 1-cut
	})
}

func TestTwoConnectionsUseTwoServers(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	both := p.urls[0] + "," + p.urls[1]
	var status natsconn.Status
	one, two := connect(t, natsconn.Options{URL: both, Status: &status}), connect(t, natsconn.Options{URL: both, Status: &status})
	eventually.True(t, "connected", func() bool { return one.IsConnected() && two.IsConnected() })
	if p.of(one) == p.of(two) {
		t.Error("both use one server from the start")
	}
	lost := p.of(two)
	p.gates[lost].Cut()
	eventually.True(t, "both on the server that is left", func() bool { return p.of(one) == 1-lost && p.of(two) == 1-lost })
	p.gates[lost].Open()
	eventually.True(t, "apart again", func() bool { return p.of(one) == 1-lost && p.of(two) == lost })
}
