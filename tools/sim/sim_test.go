package sim_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/shared/natstest"
)

var (
	seedsFlag  = flag.Int("seeds", 3, "how many seeds to run")
	seedFlag   = flag.Uint64("seed", 0, "run this seed only")
	firstFlag  = flag.Uint64("first", 1, "the first seed")
	forFlag    = flag.Duration("for", 0, "end after the seed that is running then; 0: after all seeds")
	stepsFlag  = flag.String("steps", "", "run these steps instead of those of a seed")
	allFlag    = flag.Bool("all", false, "go on after a seed that fails")
	logFlag    = flag.Bool("log", false, "print the steps and what the services logged")
	shrinkFlag = flag.Bool("shrink", true, "find out which steps of a failing schedule are needed")
)

// shrinkRuns is how often a schedule is run before shrink counts it as one that passes: the order
// in which goroutines run is not reproducible.
const shrinkRuns = 2

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(m.Run())
}

// TestSeeds runs the schedules of many seeds, or what the flags say.
func TestSeeds(t *testing.T) {
	switch {
	case *stepsFlag != "":
		check(t, parseSchedule(*stepsFlag), 1)
		return
	case *seedFlag != 0:
		check(t, newSchedule(*seedFlag), *seedFlag)
		return
	}
	start, ran := time.Now(), 0
	for seed := *firstFlag; ran < *seedsFlag && (*forFlag == 0 || time.Since(start) < *forFlag); seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { check(t, newSchedule(seed), seed) })
		ran++
		if t.Failed() && !*allFlag {
			break
		}
	}
	t.Logf("%d seeds in %v", ran, time.Since(start).Round(time.Second))
}

// check runs a schedule. When it fails, check reports with how few steps it still does.
func check(t *testing.T, steps []step, seed uint64) {
	t.Helper()
	found, log := run(t, steps, seed)
	if len(found) > 0 && *shrinkFlag {
		steps = shrink(steps, func(fewer []step) bool {
			for range shrinkRuns {
				if f, l := run(t, fewer, seed); len(f) > 0 {
					found, log = f, l
					return true
				}
			}
			return false
		})
	}
	if *logFlag {
		t.Log(log)
	}
	if len(found) > 0 {
		t.Errorf("seed %d: %s\n%s", seed, format(steps), strings.Join(found, "\n"))
	}
}

// run plays a schedule in a bubble of its own. It returns the violations and what was logged.
func run(t *testing.T, steps []step, seed uint64) (found []string, log string) {
	natstest.VirtualTime(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(context.Background())
		w.ctx, w.stop = ctx, cancel
		w.probe = &probe{world: w}
		for i, d := range devices {
			c := newClient(w, fmt.Sprint(d.user, i), d.user, d.edge, newRand(seed, i))
			c.online = true
			for _, room := range roomNames[:1+i%len(roomNames)] {
				c.rooms[room] = true
			}
			w.clients = append(w.clients, c)
			c.start(ctx)
		}
		w.running.Go(func() { w.probe.run(ctx) })
		w.sleep(20 * time.Second) // the suite is up, and everybody is where they want to be
		w.checkConnected()
		for _, s := range steps {
			w.play(s)
		}
		w.heal()
		w.sleep(converged)
		w.checkConnected()
		w.checkTruth(ctx, converged, true)
		w.sleep(departed - converged)
		w.checkTruth(ctx, departed, false)
		w.sleep(forgotten - departed)
		w.checkStatistics()
		w.endViews()
		w.checkMessages(ctx)
		w.close()
		found, log = w.found, w.log.String()
	})
	return found, log
}

// newRand returns the random numbers of a client.
func newRand(seed uint64, client int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(client)+2))
}
