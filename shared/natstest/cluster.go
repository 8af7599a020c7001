package natstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/freeport"
)

const globalAccount = server.DEFAULT_GLOBAL_ACCOUNT

// Cluster is several routed servers with JetStream. It implements
// [nats.InProcessConnProvider]: each attempt goes to the next running server.
type Cluster struct {
	nodes []*Server // static
	next  atomic.Uint32
}

// StartCluster runs n routed servers (3 for R3 streams) until the test ends and
// returns when streams can be created. It takes about a second.
func StartCluster(tb testing.TB, n int) *Cluster {
	tb.Helper()
	routes, at := make([]*url.URL, n), make([]int, n)
	for i := range routes { // they must be known before the first server runs
		var err error
		if at[i], err = freeport.Port(); err != nil {
			tb.Fatal(err)
		}
		routes[i] = &url.URL{Scheme: "nats-route", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(at[i]))}
	}
	c := &Cluster{nodes: make([]*Server, n)}
	for i := range c.nodes {
		c.nodes[i] = Start(tb, func(o *server.Options) {
			Listen(o) // routing waits for the client listener; tests use pipes all the same
			o.ServerName = fmt.Sprintf("natstest-%d", i)
			o.Cluster.Name = "natstest"
			o.Cluster.Host, o.Cluster.Port = "127.0.0.1", at[i]
			o.Routes = routes
		})
	}
	c.ready(tb)
	return c
}

// ready waits for a meta leader that knows all running servers.
func (c *Cluster) ready(tb testing.TB) {
	tb.Helper()
	eventually.True(tb, "meta leader with all peers", func() bool {
		running, known := 0, 0
		for _, node := range c.nodes {
			srv := node.NATS()
			if srv == nil {
				continue
			}
			if running++; !srv.JetStreamIsCurrent() {
				return false
			}
			if srv.JetStreamIsLeader() {
				known = len(srv.JetStreamClusterPeers())
			}
		}
		return known >= running
	})
}

// Node returns server i. It can be stopped and restarted like any other.
func (c *Cluster) Node(i int) *Server { return c.nodes[i] }

// InProcessConn returns a pipe to the next running server.
func (c *Cluster) InProcessConn() (net.Conn, error) {
	for range c.nodes {
		node := c.nodes[int(c.next.Add(1))%len(c.nodes)]
		if conn, err := node.InProcessConn(); err == nil {
			return conn, nil
		}
	}
	return nil, errStopped
}

// Conn returns a connection to one of the servers that reconnects to another one when that
// server stops. It is closed when the test ends, see [Conn].
func (c *Cluster) Conn(tb testing.TB, opts ...nats.Option) *nats.Conn {
	tb.Helper()
	return Conn(tb, c, opts...)
}

// Gate returns a gate in front of the cluster.
func (c *Cluster) Gate(tb testing.TB) *Gate {
	tb.Helper()
	return NewGate(tb, c)
}

// Tap starts to record the subjects of all published messages.
func (c *Cluster) Tap(tb testing.TB) *Tap {
	tb.Helper()
	return newTap(tb, c)
}

// Leader returns the index of the leader of stream. It waits until there is one.
func (c *Cluster) Leader(tb testing.TB, stream string) int {
	tb.Helper()
	leader := -1
	eventually.True(tb, "leader of "+stream, func() bool {
		leader = c.leader(stream)
		return leader >= 0
	})
	return leader
}

func (c *Cluster) leader(stream string) int {
	for i, node := range c.nodes {
		if srv := node.NATS(); srv != nil && srv.JetStreamIsStreamLeader(globalAccount, stream) {
			return i
		}
	}
	return -1
}

// StepDown makes the leader of stream step down, and returns when another server leads. It
// repeats the request while the old one leads: a request may get lost, and the old leader
// may be elected again.
func (c *Cluster) StepDown(tb testing.TB, stream string) {
	tb.Helper()
	old := c.Leader(tb, stream)
	nc := c.Conn(tb)
	defer nc.Close()
	eventually.True(tb, "other leader of "+stream, func() bool {
		now := c.leader(stream)
		if now == old {
			if err := stepDown(nc, stream); err != nil {
				tb.Logf("step down %s: %v", stream, err)
			}
		}
		return now >= 0 && now != old
	})
}

func stepDown(nc *nats.Conn, stream string) error {
	reply, err := nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil, 2*time.Second)
	if err != nil {
		return err
	}
	var answer struct{ Error *struct{ Description string } }
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return err
	}
	if answer.Error != nil {
		return errors.New(answer.Error.Description)
	}
	return nil
}
