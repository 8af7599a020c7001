package faults_test

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/tools/internal/cluster/clustertest"
	"github.com/confab-chat/confab/tools/internal/workload"
)

// full makes every stream of the log refuse to store. Health must say so while no message is
// acknowledged, and that it is over when that is so.
func full(s *scene) {
	s.up(clustertest.New(s), "nats1", "room1", "room2", "ratelimit1", "monitor1", "edge1")
	s.load = workload.Start(s, 2, s.c.URL("edge1"))
	s.load.WaitProgress()
	s.c.WaitOwned(2)
	s.becomes("healthy", http.StatusOK)
	nc, err := nats.Connect(s.c.NATS())
	if err != nil {
		s.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		s.Fatal(err)
	}
	for s.startFaults(); ; {
		s.limit(js, 1)
		s.becomes("unhealthy", http.StatusServiceUnavailable)
		for _, room := range []string{"room1", "room2"} {
			s.c.Probe(room, "/readyz", http.StatusServiceUnavailable)
		}
		s.limit(js, -1)
		s.healed("the log stores again")
		s.becomes("healthy", http.StatusOK)
		if !s.more() {
			break
		}
	}
	s.load.Check()
}

// limit limits the number of records in every stream; -1 removes the limit.
func (s *scene) limit(js jetstream.JetStream, records int64) {
	s.Helper()
	for k := range 8 {
		stream, err := js.Stream(s.Context(), subject.LogStream(k))
		if err != nil {
			s.Fatal(err)
		}
		c := stream.CachedInfo().Config
		c.MaxMsgs, c.Discard = records, jetstream.DiscardNew
		if _, err := js.UpdateStream(s.Context(), c); err != nil {
			s.Fatal(err)
		}
	}
}

// becomes waits until the monitor reports a status.
func (s *scene) becomes(status string, code int) {
	s.Helper()
	eventually.OK(s, "dishonest-health: room services store nothing, or all, and health is to be "+status, func() error {
		r, got, err := s.c.Report("/websocket/health")
		if err == nil && (r.Status != status || got != code) {
			err = fmt.Errorf("%+v (%d)", r, got)
		}
		return err
	})
}

// hung suspends one of three nats-servers for longer than the sends of clients may wait.
func hung(s *scene) {
	servers := []string{"nats1", "nats2", "nats3"}
	s.up(clustertest.NewReplicated(s), append(servers, "room1", "room2", "ratelimit1", "monitor1", "edge1", "edge2")...)
	one, two := s.c.URL("edge1"), s.c.URL("edge2")
	s.load = workload.Start(s, 4, one, two)
	s.load.WaitProgress()
	for s.startFaults(); ; {
		for _, name := range s.shuffle(servers...) {
			s.c.Pause(name, func() { s.healed("%s hangs", name) })
			s.healed("%s continues", name)
		}
		if !s.more() {
			break
		}
	}
	s.load.Check()
}

// isolated cuts one of three nats-servers off from the others, but not from the services that
// use it.
func isolated(s *scene) {
	nodes := s.routed()
	c, services := clustertest.NewReplicated(s), []string{"room1", "room2", "ratelimit1", "monitor1", "edge1", "edge2"}
	for _, name := range services {
		c.Part(name).Env = []string{"CONFAB_NATS_URL=" + strings.Join(nodes.urls[:], ",")}
	}
	s.up(c, services...)
	s.load = workload.Start(s, 4, s.c.URL("edge1"), s.c.URL("edge2"))
	s.c.WaitOwned(2)
	s.load.WaitProgress()
	for s.startFaults(); ; {
		for _, g := range nodes.gates {
			g.Cut()
		}
		s.healed("a server is cut off from the others")
		for _, g := range nodes.gates {
			g.Open()
		}
		s.healed("it is back")
		s.wait(s.between(0, 8*time.Second)) // connections come back to it
		if !s.more() {
			break
		}
	}
	s.load.Check()
}

// routed is three servers, the last of which reaches the others, and is reached, through gates.
type routed struct {
	urls  [3]string
	gates []*natstest.Gate
}

func (s *scene) routed() (r routed) {
	s.Helper()
	var routes [3]string // addresses of the listeners for routes
	for i := range routes {
		routes[i] = natstest.FreeAddr(s)
	}
	gated := func(address string) string {
		g := natstest.NewGate(s, natstest.Remote(address))
		r.gates = append(r.gates, g)
		return g.Listen(s)
	}
	to := [3][]string{{routes[1]}, {routes[0]}, {gated(routes[0]), gated(routes[1])}}
	advertised := gated(routes[2])
	for i := range routes {
		node := natstest.Start(s, natstest.Listen, func(o *server.Options) {
			o.ServerName = fmt.Sprint("routed-", i)
			o.Cluster.Name = "routed"
			host, port, err := net.SplitHostPort(routes[i])
			if err != nil {
				s.Fatal(err)
			}
			o.Cluster.Host = host
			if _, err := fmt.Sscan(port, &o.Cluster.Port); err != nil {
				s.Fatal(err)
			}
			if i == 2 {
				o.Cluster.Advertise = advertised
			}
			for _, address := range to[i] {
				o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: address})
			}
		})
		r.urls[i] = node.URL()
	}
	return r
}
