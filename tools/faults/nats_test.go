package faults_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/tools/internal/cluster/clustertest"
	"github.com/confab-chat/confab/tools/internal/workload"
)

// replicas has three nats-servers, each with a copy of all data: leaders step down, and one or
// all servers are killed.
func replicas(s *scene) {
	servers := []string{"nats1", "nats2", "nats3"}
	s.up(s.either(clustertest.NewReplicated(s)), append(servers, "room1", "room2", "ratelimit1", "monitor1", "edge1", "edge2")...)
	one, two := s.c.URL("edge1"), s.c.URL("edge2")
	s.load = workload.Start(s, 4, one, one, two)
	s.load.AddReaders(s.seed, 2*time.Second, one, two)
	s.load.WaitProgress()
	nc, err := nats.Connect(s.c.NATS(), nats.Timeout(20*time.Second), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		s.Fatal(err)
	}
	defer nc.Close()
	for s.startFaults(); ; {
		for range 8 {
			s.stepDown(nc, fmt.Sprint(subject.LogStream(s.rng.IntN(8))))
			s.wait(s.between(0, 500*time.Millisecond))
		}
		s.stepDown(nc, "KV_"+subject.BucketOwners)
		s.healed("leaders have stepped down")
		name := s.pick(servers...)
		s.crash(name, s.between(0, time.Second))
		s.healed("%s killed", name)
		for _, name := range servers {
			s.c.Kill(name)
		}
		s.c.Start(s.shuffle(servers...)...)
		s.healed("all servers killed")
		if !s.more() {
			break
		}
	}
	s.load.Check()
}

// stepDown makes the leader of a stream step down.
func (s *scene) stepDown(nc *nats.Conn, stream string) {
	s.Helper()
	eventually.OK(s, "another leader of "+stream, func() error {
		m, err := nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil, 5*time.Second)
		var answer struct{ Error *struct{ Description string } }
		if err == nil {
			err = json.Unmarshal(m.Data, &answer)
		}
		if err == nil && answer.Error != nil {
			err = errors.New(answer.Error.Description)
		}
		return err
	})
}

// link disturbs the connection of an owner to NATS, and that of an edge.
func link(s *scene) {
	c := clustertest.New(s)
	gates := make(map[string]*natstest.Gate)
	for _, name := range []string{"room1", "edge1"} {
		gates[name] = natstest.NewGate(s, natstest.Remote(c.Part("nats1").Public))
		c.Part(name).Env = []string{"CONFAB_NATS_URL=nats://" + gates[name].Listen(s)}
	}
	s.up(c, "nats1", "room1", "room2", "ratelimit1", "monitor1", "edge1", "edge2")
	one, two := c.URL("edge1"), c.URL("edge2")
	s.load = workload.Start(s, 8, one, two)
	s.load.AddReaders(s.seed, 2*time.Second, one, two)
	s.c.WaitOwned(2)
	for s.startFaults(); ; {
		for _, name := range s.shuffle("room1", "edge1") {
			for _, what := range s.shuffle("cut", "break", "deaf", "dumb", "slow") {
				s.disturb(name, gates[name], what)
			}
			s.healed("%s: the link was bad in all ways", name)
		}
		if !s.more() {
			break
		}
	}
	s.load.Check()
}

// disturb disturbs a connection for a while, sometimes for longer than a lease.
func (s *scene) disturb(name string, g *natstest.Gate, what string) {
	d := s.between(50*time.Millisecond, 1500*time.Millisecond)
	if s.rng.IntN(4) == 0 {
		d = s.between(3*time.Second, 6*time.Second)
	}
	s.Logf("%s is %s for %v", name, what, d)
	switch what {
	case "cut":
		g.Cut()
	case "break": // data on its way is lost
		g.Blackhole(natstest.Both)
		s.wait(min(d, 500*time.Millisecond))
		g.Break()
		g.Open()
	case "deaf":
		g.Blackhole(natstest.Down)
	case "dumb":
		g.Blackhole(natstest.Up)
	case "slow":
		g.Delay(s.between(5*time.Millisecond, 150*time.Millisecond))
	}
	s.wait(d)
	g.Delay(0)
	if what == "deaf" && s.rng.IntN(2) == 0 {
		g.Break() // the data that waited is lost
	}
	g.Open()
	s.wait(s.between(0, 300*time.Millisecond))
}
