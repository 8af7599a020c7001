package faults_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/confab-chat/confab/tools/internal/cluster/clustertest"
	"github.com/confab-chat/confab/tools/internal/workload"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// scene is one run of a scenario. Its seed decides what happens, as far as the machine's timing
// allows.
type scene struct {
	*testing.T
	seed uint64
	rng  *rand.Rand
	c    *clustertest.Cluster
	load *workload.Workload
	end  time.Time
}

// TestFaults runs every scenario.
func TestFaults(t *testing.T) {
	if os.Getenv("CONFAB_TEST_LONG") == "" {
		t.Skip("slow: set CONFAB_TEST_LONG=1 (task faults and bash .ci/run do)")
	}
	base := uint64(time.Now().UnixMilli())
	seeds := setting(t, "CONFAB_FAULTS_SEEDS", 1)
	if given := os.Getenv("CONFAB_TEST_SEED"); given != "" {
		var err error
		if base, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	for name, play := range map[string]func(*scene){
		"crash": crash, "zombie": zombie, "owners": owners, "replicas": replicas, "link": link,
		"storm": storm, "slow": slow, "herd": herd, "full": full, "hung": hung, "isolated": isolated,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range uint64(seeds) {
				seed := base + i
				t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
					play(&scene{T: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0))})
				})
			}
		})
	}
}

func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// quick is how long faults go on without CONFAB_FAULTS_FOR.
const quick = 10 * time.Second

// startFaults starts the time of faults.
func (s *scene) startFaults() {
	s.Helper()
	d := quick
	if text := os.Getenv("CONFAB_FAULTS_FOR"); text != "" {
		var err error
		if d, err = time.ParseDuration(text); err != nil {
			s.Fatal(err)
		}
	}
	s.end = time.Now().Add(d)
}

// more reports whether there is time for another fault.
func (s *scene) more() bool { return time.Now().Before(s.end) && !s.Failed() }

// either makes a cluster fast or durable, depending on the seed.
func (s *scene) either(c *clustertest.Cluster) *clustertest.Cluster {
	if s.seed%2 == 0 {
		c.SetFast()
		s.Log("CONFAB_DURABILITY=fast")
	}
	return c
}

// up starts processes and waits until clients can connect to each edge.
func (s *scene) up(c *clustertest.Cluster, names ...string) {
	s.Helper()
	s.c = c
	c.Start(names...)
	for _, name := range names {
		if c.Parts[name].Service == "edge" {
			c.Probe(name, "/readyz", 200)
		}
	}
}

// between returns a random duration.
func (s *scene) between(from, to time.Duration) time.Duration {
	return from + time.Duration(s.rng.Int64N(int64(to-from)))
}

func (s *scene) wait(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.Context().Done():
	}
}

func (s *scene) pick(names ...string) string { return names[s.rng.IntN(len(names))] }

// shuffle returns names in random order.
func (s *scene) shuffle(names ...string) []string {
	s.rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names
}

// crash kills a process with SIGKILL and starts it again after a while.
func (s *scene) crash(name string, away time.Duration) {
	s.Helper()
	s.c.Kill(name)
	s.wait(away)
	s.c.Start(name)
}

// healed waits until the messages of every sender are acknowledged again.
func (s *scene) healed(format string, args ...any) {
	s.Helper()
	s.Logf("%s: sends go on after %v", fmt.Sprintf(format, args...), s.load.WaitProgress())
}
