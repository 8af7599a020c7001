package proctest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/shared/client"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/tools/internal/cluster/clustertest"
	"github.com/confab-chat/confab/tools/internal/workload"
)

// observer is a client that records the events of other users.
type observer struct {
	*client.Client
	tb   testing.TB
	user string
	stop func() // closes with 1000

	mu    sync.Mutex // guards heard
	heard []string   // "userLeft bob", in order
}

// observe starts a client until the test ends, or stop.
func observe(tb testing.TB, url, user string) *observer {
	tb.Helper()
	o := &observer{tb: tb, user: user}
	o.Client = workload.NewClient(url, user, o.record)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := o.Run(ctx); err != nil {
			tb.Errorf("%s: %v", user, err)
		}
	})
	o.stop = func() { cancel(); running.Wait() }
	tb.Cleanup(o.stop)
	return o
}

func (o *observer) record(e client.Event) {
	switch e.Name {
	case "userJoined", "userLeft", "userOnline", "userOffline":
	default:
		return
	}
	var who struct{ UserID string }
	if err := json.Unmarshal(e.Data, &who); err != nil {
		o.tb.Errorf("%s: %v", e.Name, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.heard = append(o.heard, e.Name+" "+who.UserID)
}

// count returns how often an event was received.
func (o *observer) count(what string) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, h := range o.heard {
		if h == what {
			n++
		}
	}
	return n
}

// hears waits until all of these events were received, and checks that each was received once.
func (o *observer) hears(what ...string) {
	o.tb.Helper()
	took := eventually.OK(o.tb, "what "+o.user+" hears", func() error {
		for _, w := range what {
			if o.count(w) == 0 {
				o.mu.Lock()
				defer o.mu.Unlock()
				return fmt.Errorf("%s has not heard %q but %q", o.user, w, o.heard)
			}
		}
		return nil
	})
	for _, w := range what {
		if n := o.count(w); n != 1 {
			o.tb.Errorf("%s has heard %q %d times", o.user, w, n)
		}
	}
	o.tb.Logf("%s heard %q after %.1f s", o.user, what, took.Seconds())
}

// never checks that none of these events was received so far.
func (o *observer) never(what ...string) {
	o.tb.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, w := range what {
		if slices.Contains(o.heard, w) {
			o.tb.Errorf("%s has heard %q", o.user, w)
		}
	}
}

// enter joins a room. It repeats while the room is unavailable.
func (o *observer) enter(room string) {
	o.tb.Helper()
	eventually.OK(o.tb, o.user+" joins "+room, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), workload.Attempt)
		defer cancel()
		_, err := o.Join(ctx, room)
		if err != nil && code.Of(err) != code.Unavailable && ctx.Err() == nil {
			o.tb.Errorf("%s joins %s: %v", o.user, room, err)
		}
		return err
	})
}

// TestNewsWithoutOwner: users who join while the owners are away are announced when the owners
// return.
func TestJoinWithoutOwner(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t)
	c.Start("nats1", "room1", "ratelimit1", "monitor1", "edge1")
	c.Probe("edge1", "/readyz", 200)
	c.WaitOwned(1)
	ann := observe(t, c.URL("edge1"), "ann")
	ann.enter("r") // before bob joins
	bob := observe(t, c.URL("edge1"), "bob")
	bob.enter("r")
	ann.hears("userOnline bob", "userJoined bob")

	c.Kill("room1")
	carol, dave := observe(t, c.URL("edge1"), "carol"), observe(t, c.URL("edge1"), "dave")
	var entering sync.WaitGroup
	for _, o := range []*observer{carol, dave} {
		entering.Go(func() { o.enter("r") })
	}
	// Joins wait for an owner, but an edge answers heartbeats.
	eventually.OK(t, "answers to heartbeats", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), workload.Attempt)
		defer cancel()
		if err := dave.Request(ctx, "heartbeat", nil, nil); err != nil {
			return err
		}
		return carol.Request(ctx, "heartbeat", nil, nil)
	})
	c.Start("room1")
	entering.Wait()
	ann.hears("userJoined carol", "userJoined dave", "userOnline carol", "userOnline dave")
	carol.stop()
	ann.hears("userLeft carol", "userOffline carol")
	// The new owner does not announce members who were there all the time.
	ann.hears("userOnline bob", "userJoined bob")
	ann.never("userLeft bob", "userOffline bob", "userLeft dave")
}

// TestDeadEdge: the members of a killed edge leave, each once, unless they have returned.
func TestDeadEdge(t *testing.T) {
	long(t)
	t.Parallel()
	c := clustertest.New(t)
	c.Start("nats1", "room1", "ratelimit1", "monitor1", "edge1", "edge2")
	c.Probe("edge1", "/readyz", 200)
	c.Probe("edge2", "/readyz", 200)
	c.WaitOwned(1)
	ann := observe(t, c.URL("edge1"), "ann")
	ann.enter("r")
	there := make(map[string]*observer)
	for _, user := range []string{"bob", "carol", "dave"} {
		there[user] = observe(t, c.URL("edge2"), user)
		there[user].enter("r")
		ann.hears("userJoined "+user, "userOnline "+user)
	}
	c.Kill("edge2")
	back := observe(t, c.URL("edge1"), "dave") // in time
	back.enter("r")
	ann.hears("userLeft bob", "userLeft carol", "userOffline bob", "userOffline carol")
	ann.never("userLeft dave", "userOffline dave")
	c.Start("edge2") // bob and carol reconnect, which is announced
	eventually.OK(t, "the return of bob and carol", func() error {
		for _, what := range []string{"userJoined bob", "userJoined carol", "userOnline bob", "userOnline carol"} {
			if n := ann.count(what); n != 2 {
				return fmt.Errorf("heard %q %d times", what, n)
			}
		}
		return nil
	})
}
