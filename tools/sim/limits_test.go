package sim_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/confab-chat/confab/shared/natstest"
)

// TestLimits has a user send without a pause from two edges for 100 seconds, while ratelimit is
// restarted or does not answer. The bounds are those of docs/guarantees.md.
func TestLimits(t *testing.T) {
	const edges = 2
	restart := []step{{"restart", "ratelimit1", ""}, {"wait", "7s", ""}, {"restart", "ratelimit2", ""}, {"wait", "7s", ""}}
	stall := []step{{"hang", "ratelimit1", ""}, {"hang", "ratelimit2", ""}, {"wait", "200ms", ""}, {"heal", "ratelimit1", ""}, {"heal", "ratelimit2", ""}, {"wait", "2.8s", ""}}
	kill := []step{{"kill", "ratelimit1", ""}, {"wait", "4s", ""}, {"start", "ratelimit1", ""}, {"wait", "3s", ""}, {"kill", "ratelimit2", ""}, {"wait", "4s", ""}, {"start", "ratelimit2", ""}, {"wait", "3s", ""}}
	for name, c := range map[string]struct {
		faults []step // repeated for 100 seconds
		bound  int    // messages in any minute
	}{
		"none":             {[]step{{"wait", "1s", ""}}, messageLimit},
		"both restarted":   {restart, messageLimit},
		"both stall":       {stall, messageLimit + edges*messageLimit/2},
		"both killed":      {kill, messageLimit + edges*messageLimit/2},
		"an edge restarts": {[]step{{"restart", "edge2", ""}, {"wait", "15s", ""}}, messageLimit},
	} {
		t.Run(name, func(t *testing.T) {
			n, found := sendWithoutPause(t, c.faults)
			if n > c.bound || n < messageLimit {
				t.Errorf("%d messages in a minute, want %d to %d", n, messageLimit, c.bound)
			}
			if len(found) > 0 {
				t.Error(found)
			}
			t.Logf("%d messages in the busiest minute; the limit is %d", n, messageLimit)
		})
	}
}

// sendWithoutPause returns how many messages of a user were stored in the busiest minute.
func sendWithoutPause(t *testing.T, faults []step) (busiest int, found []string) {
	natstest.VirtualTime(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(context.Background())
		w.ctx, w.stop, w.probe = ctx, cancel, &probe{world: w}
		for i := range 2 {
			c := newClient(w, fmt.Sprint("ann", i), "ann", i, newRand(1, i))
			c.online, c.rooms["red"] = true, true
			w.clients = append(w.clients, c)
			c.start(ctx)
			w.running.Go(func() {
				tick := time.NewTicker(300 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-ctx.Done():
						return
					case <-tick.C:
						c.queue("red")
					}
				}
			})
		}
		for end := time.Now().Add(100 * time.Second); time.Now().Before(end); {
			for _, s := range faults {
				w.play(s)
			}
		}
		w.heal()
		w.sleep(converged)
		accepted := make(map[string][]time.Time)
		if _, ok := w.readRoom(ctx, "red", accepted); !ok {
			t.Error("the room cannot be read")
		}
		busiest = most(accepted["ann"], time.Minute)
		w.close()
		found = slices.Clone(w.found)
	})
	return busiest, found
}
