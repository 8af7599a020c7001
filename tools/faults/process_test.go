package faults_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/tools/internal/proc"
	"github.com/confab-chat/confab/tools/internal/talk"
)

// crash kills every kind of process, now and then two at once.
func crash(s *scene) {
	s.up(s.either(proc.NewCluster(s)), "nats1", "room1", "room2", "ratelimit1", "monitor1", "edge1", "edge2")
	one, two := s.c.URL("edge1"), s.c.URL("edge2")
	s.k = talk.Start(s, 4, one, one, two)
	s.k.View(s.seed, 2*time.Second, one, two)
	s.k.Progress()
	for s.begin(); ; {
		for _, name := range s.deck("nats1", "room1", "room2", "edge1", "edge2", "ratelimit1") {
			other := ""
			if s.rng.IntN(3) == 0 {
				if other = s.pick("nats1", "room1", "edge1"); other == name {
					other = ""
				}
			}
			if other != "" {
				s.c.Parts[other].Kill()
			}
			s.crash(name, s.between(0, time.Second))
			if other != "" {
				s.c.Start(other)
			}
			s.healed("%s killed, %q too", name, other)
		}
		if !s.more() {
			break
		}
	}
	s.k.Verdict()
}

// zombie holds up owners for longer than their leases: others take their rooms and
// go on, and then whoever was held up wakes and believes to own them.
func zombie(s *scene) {
	s.up(proc.NewCluster(s), "nats1", "room1", "room2", "ratelimit1", "monitor1", "edge1", "edge2")
	one, two := s.c.URL("edge1"), s.c.URL("edge2")
	s.k = talk.Start(s, 8, one, two)
	s.k.View(s.seed, time.Second, one, two)
	s.c.Owned(2)
	for s.begin(); ; {
		for _, name := range s.deck("room1", "room2") {
			s.hold(name, func() { s.healed("%s held up", name) })
			s.healed("%s awake", name)
			s.c.Owned(2)
		}
		for _, name := range s.deck("edge1", "nats1") {
			d := s.between(100*time.Millisecond, 2*time.Second)
			s.hold(name, func() { s.wait(d) })
			s.healed("%s held up for %v", name, d)
		}
		if !s.more() {
			break
		}
	}
	s.k.Verdict()
}

// rogue is a room service that has leases of its own, so that every shard has two
// owners, each of which gets half of the commands.
func rogue(tb testing.TB) string {
	tb.Helper()
	const file, group = "services/room/room.go", "Group: subject.QueueRoom"
	root, err := proc.Root()
	if err != nil {
		tb.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
	if err != nil {
		tb.Fatal(err)
	}
	text := string(b)
	if strings.Count(text, group) != 1 || !strings.Contains(text, "proto/subject\"") {
		tb.Fatalf("%s: no single %q", file, group)
	}
	text = strings.Replace(text, group, `Group: subject.QueueRoom + "gue"`, 1)
	return proc.Variant(tb, "room", "rogue", map[string][]byte{file: []byte(text)})
}

// owners has two owners of everything all the time.
func owners(s *scene) {
	c := proc.NewCluster(s)
	c.Part("room2").Path = rogue(s)
	s.up(c, "nats1", "room1", "room2", "ratelimit1", "monitor1", "edge1", "edge2")
	c.Probe("room2", "/readyz", 200)
	one, two := c.URL("edge1"), c.URL("edge2")
	s.k = talk.Start(s, 4, one, one, two, two)
	// Who moves while there are two owners may be told by one what the other does not
	// know yet; see docs/guarantees.md.
	s.k.View(s.seed, 0, one, two)
	for s.begin(); s.more(); {
		s.wait(s.between(time.Second, 3*time.Second))
		name := s.pick("room1", "room2", "nats1")
		s.crash(name, 0)
		s.healed("%s killed", name)
	}
	// What is stored says who owns it alone, and knows nothing but the log.
	s.k.Stop()
	c.Parts["room2"].Kill()
	s.crash("room1", 0)
	c.Owned(1)
	s.k.Verdict()
}

// storm has ten connections send each message at once and again and again, while
// owners and edges die.
func storm(s *scene) {
	s.up(proc.NewCluster(s), "nats1", "room1", "room2", "ratelimit1", "monitor1", "edge1", "edge2")
	one, two := s.c.URL("edge1"), s.c.URL("edge2")
	s.k = talk.Start(s, 1, one, two)
	s.k.Storm(10, one, two)
	s.k.View(s.seed, time.Second, one, two)
	for s.begin(); ; {
		for _, name := range s.deck("room1", "room2", "edge1", "nats1") {
			s.wait(s.between(100*time.Millisecond, 700*time.Millisecond))
			s.crash(name, s.between(0, 200*time.Millisecond))
			s.healed("%s killed", name)
		}
		if !s.more() {
			break
		}
	}
	s.k.Verdict()
}

// slow has a reader that dawdles until its edge lets go of it, again and again.
func slow(s *scene) {
	s.up(proc.NewCluster(s, "CONFAB_OUTBOUND_QUEUE_BYTES=65536"), "nats1", "room1", "ratelimit1", "monitor1", "edge1")
	one := s.c.URL("edge1")
	const talkers = 4
	dawdle, hurry := context.WithCancel(s.Context())
	defer hurry()
	s.k = talk.StartWith(s, talk.Options{
		URLs: []string{one, one, one, one}, Pace: time.Millisecond, Bytes: 1900,
		OnShown: talk.Sleepy(dawdle, talkers, 300, 3*time.Second),
	})
	s.k.View(s.seed, time.Second, one)
	s.begin()
	proc.Eventually(s, func() error {
		if s.k.Lost(talkers-1) == 0 || s.more() {
			return fmt.Errorf("the slow one was let go %d times", s.k.Lost(talkers-1))
		}
		return nil
	})
	hurry()
	s.healed("the slow one was let go %d times", s.k.Lost(talkers-1))
	s.k.Verdict()
}

// herd has many come to one edge at once when theirs is killed, each with messages to
// catch up on.
func herd(s *scene) {
	s.up(proc.NewCluster(s), "nats1", "room1", "ratelimit1", "monitor1", "edge1", "edge2")
	one, two := s.c.URL("edge1"), s.c.URL("edge2")
	s.k = talk.Start(s, 1, one, two, two)
	for i := range uint64(40) {
		s.k.View(s.seed+i, 0, one, two)
	}
	for s.begin(); ; {
		for _, name := range []string{"edge1", "edge2"} {
			s.wait(s.between(500*time.Millisecond, 2*time.Second))
			s.crash(name, s.between(0, time.Second))
			s.healed("%s killed", name)
		}
		if !s.more() {
			break
		}
	}
	s.k.Verdict()
}
