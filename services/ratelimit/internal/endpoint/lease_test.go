package endpoint_test

import (
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/ratelimit/internal/policy"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/shared/partition"
)

// edge stands for an edge: it asks for permits of ann, and answers recalls.
type edge struct {
	tb   testing.TB
	name string
	nc   *nats.Conn

	mu       sync.Mutex // guards the following
	lease    uint64
	grants   []wire.Grants // under the lease
	recalled int
	deaf     bool // recalls are not answered
}

// newEdge starts one that has no lease.
func newEdge(tb testing.TB, server *natstest.Server, name string) *edge {
	tb.Helper()
	e := &edge{tb: tb, name: name, nc: server.Conn(tb)}
	for subj, f := range map[string]nats.MsgHandler{subject.EdgeRecall(name): e.recall, subject.EdgesLeases: e.sync} {
		if _, err := e.nc.Subscribe(subj, f); err != nil {
			tb.Fatal(err)
		}
	}
	if err := e.nc.Flush(); err != nil {
		tb.Fatal(err)
	}
	return e
}

// startTwo runs an endpoint that owns ann's shard, and two edges.
func startTwo(tb testing.TB, limits policy.Limits) (s served, one, two *edge) {
	tb.Helper()
	s, server := start(tb, limits)
	s.acquire(tb, subject.Shard("ann"))
	return s, newEdge(tb, server, "one"), newEdge(tb, server, "two")
}

// ignoreRecalls makes e leave recalls unanswered.
func (e *edge) ignoreRecalls() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.deaf = true
}

func (e *edge) recall(m *nats.Msg) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.recalled++
	if e.deaf {
		return
	}
	answer := wire.Leased{User: "ann", Lease: e.lease, Grants: e.grants}
	e.lease, e.grants = 0, nil
	if m.Reply != "" {
		_ = m.Respond(wire.Marshal(&answer)) // the test ends
	}
}

func (e *edge) sync(m *nats.Msg) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lease == 0 {
		return
	}
	_ = m.Respond(wire.Marshal(e.held())) // the test ends
}

// held returns the edge's lease of ann. e.mu must be held.
func (e *edge) held() *wire.Leases {
	return &wire.Leases{
		Edge: e.name, Shard: uint64(subject.Shard("ann")),
		Users: []wire.Leased{{User: "ann", Lease: e.lease, Grants: e.grants}},
	}
}

// take asks for a permit to send, and keeps the lease that comes with it.
func (e *edge) take() wire.Taken {
	e.tb.Helper()
	e.mu.Lock()
	request := wire.Take{User: "ann", Action: wire.ActionMessage, Edge: e.name, Lease: e.lease, Grants: e.grants}
	e.mu.Unlock()
	taken := ask(e.tb, e.nc, subject.Shard("ann"), wire.Marshal(&request))
	if taken.Code != "" {
		e.tb.Fatalf("%s: %+v", e.name, taken)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lease, e.grants = taken.Lease, taken.Grants
	return taken
}

// spend grants so many messages under the lease.
func (e *edge) spend(n uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.grants = []wire.Grants{{Action: wire.ActionMessage, Runs: []wire.Run{{Count: n}}}}
}

func (e *edge) state() (lease uint64, recalled int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lease, e.recalled
}

// leased takes until there is a lease: a new owner gives none at first. It costs permits, so the
// limits here are high.
func (e *edge) leased() {
	e.tb.Helper()
	eventually.True(e.tb, "a lease", func() bool { return e.take().Lease != 0 })
}

var high = policy.Limits{Messages: 1_000_000}

// used is how many permits of ann count, as reported to edge e with a lease.
func used(grants []wire.Grants) (n uint64) {
	for _, g := range grants {
		for _, r := range g.Runs {
			n += r.Count
		}
	}
	return n
}

// A single edge gets a lease. When another edge asks, the owner recalls the lease with its log.
func TestLeaseIsRecalled(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		s, one, two := startTwo(t, high)
		one.leased()
		one.spend(999_998)
		for i, want := range []bool{true, true, false} {
			taken := two.take()
			if taken.OK != want || taken.Lease != 0 {
				t.Errorf("permit %d of the other edge: %+v", i+1, taken)
			}
		}
		if _, recalled := one.state(); recalled != 1 {
			t.Errorf("recalled %d times", recalled)
		}
		if taken := one.take(); taken.OK || taken.Lease != 0 {
			t.Errorf("the first edge afterwards: %+v", taken)
		}
		if n := s.Leases(); n.Given == 0 || n.Recalled != 1 || n.Unanswered != 0 {
			t.Errorf("counted %+v", n)
		}
	})
}

// The log of a dead edge is lost. What the owner knew still counts.
func TestLeaseOfADeadEdge(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		_, one, two := startTwo(t, high)
		one.leased()
		one.nc.Close()
		if taken := two.take(); !taken.OK || taken.Lease != 0 {
			t.Errorf("got %+v", taken)
		}
	})
}

// An edge that does not answer keeps its lease; the others have a third.
func TestLeaseOfADeafEdge(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		s, one, two := startTwo(t, policy.Limits{Messages: 999_999})
		one.leased()
		one.ignoreRecalls()
		two.take()
		if n := s.Leases(); n.Unanswered != 1 {
			t.Fatalf("counted %+v", n)
		}
		granted := 0
		for range 5 {
			if two.take().OK {
				granted++
			}
		}
		if granted != 5 { // of 333 333
			t.Errorf("%d of 5 granted", granted)
		}
	})
}

func TestThirdOfALimitForTheOthers(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		s, one, two := startTwo(t, policy.Limits{Messages: 6})
		s.claim(t, one, 42)
		one.ignoreRecalls()
		granted := 0
		for range 6 {
			if two.take().OK {
				granted++
			}
		}
		if granted != 2 {
			t.Errorf("%d granted, want a third of 6", granted)
		}
	})
}

// claim makes e report a lease, and waits until the owner has it.
func (s served) claim(t *testing.T, e *edge, lease uint64) {
	t.Helper()
	e.mu.Lock()
	e.lease = lease
	e.mu.Unlock()
	shard := subject.Shard("ann")
	s.release(t, shard)
	s.acquire(t, shard)
	eventually.True(t, "the owner has heard of the lease", func() bool {
		if lease, _ := e.state(); lease == 0 {
			t.Fatal("the claim was not accepted")
		}
		return s.Leases().Claimed == 1
	})
}

// A new owner asks the edges for their leases: the log survives the previous owner.
func TestLeaseSurvivesTheOwner(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		s, one, two := startTwo(t, policy.Limits{Messages: 6})
		one.spend(5)
		s.claim(t, one, 42)
		granted := 0
		for range 6 {
			if two.take().OK {
				granted++
			}
		}
		if granted != 1 {
			t.Errorf("%d granted, 5 of 6 were spent before", granted)
		}
	})
}

// What an edge has granted locally counts, beside what the owner knows.
func TestSpentCounts(t *testing.T) {
	t.Parallel()
	s, server := start(t, policy.Limits{Messages: 6})
	s.acquire(t, subject.Shard("ann"))
	one := newEdge(t, server, "one")
	one.take()
	request := wire.Take{User: "ann", Action: wire.ActionMessage, Edge: "one", Spent: []wire.Grants{
		{Action: wire.ActionMessage, Runs: []wire.Run{{AgeMs: 500, Count: 3}}},
	}}
	if taken := ask(t, one.nc, subject.Shard("ann"), wire.Marshal(&request)); !taken.OK {
		t.Errorf("the fifth of 6: %+v", taken)
	}
	granted := 0
	for range 3 {
		if one.take().OK {
			granted++
		}
	}
	if granted != 1 {
		t.Errorf("%d more granted, 5 of 6 were used", granted)
	}
}

// The second of two that claim the same user loses its lease.
func TestTwoClaims(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		s, one, two := startTwo(t, high)
		two.mu.Lock()
		two.lease = 43
		two.mu.Unlock()
		one.mu.Lock()
		one.lease = 42
		one.mu.Unlock()
		s.release(t, subject.Shard("ann"))
		s.acquire(t, subject.Shard("ann"))
		eventually.True(t, "one of two has lost its lease", func() bool {
			a, _ := one.state()
			b, _ := two.state()
			if a == 0 && b == 0 {
				t.Fatal("both have lost their leases")
			}
			return (a == 0) != (b == 0)
		})
	})
}

// An edge that stops returns its lease with the log, and the next edge gets the lease at once.
func TestLeaseIsGivenBack(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		_, one, two := startTwo(t, high)
		one.leased()
		one.spend(777)
		one.mu.Lock()
		held := wire.Marshal(one.held())
		one.lease = 0
		one.mu.Unlock()
		if err := one.nc.Publish(subject.Limit(subject.Shard("ann"), subject.OpReturn), held); err != nil {
			t.Fatal(err)
		}
		if err := one.nc.Flush(); err != nil { // the server has it before the other asks
			t.Fatal(err)
		}
		taken := two.take()
		if _, recalled := one.state(); recalled != 0 || taken.Lease == 0 || used(taken.Grants) != 778 {
			t.Errorf("recalled %d times; lease %d with %d permits used, want 778", recalled, taken.Lease, used(taken.Grants))
		}
	})
}

// Requests that wait for a recall wait in a bounded queue.
func TestWaitingForARecallIsBounded(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		_, one, two := startTwo(t, high)
		one.leased()
		one.ignoreRecalls()
		request := wire.Marshal(&wire.Take{User: "ann", Action: wire.ActionMessage, Edge: "two"})
		inbox := two.nc.NewInbox()
		replies, err := two.nc.SubscribeSync(inbox)
		if err != nil {
			t.Fatal(err)
		}
		const asked = 100
		for range asked {
			if err := two.nc.PublishRequest(subject.Limit(subject.Shard("ann"), subject.OpTake), inbox, request); err != nil {
				t.Fatal(err)
			}
		}
		refused := 0
		for range asked {
			m, err := replies.NextMsg(10 * time.Second)
			if err != nil {
				t.Fatal(err)
			}
			var taken wire.Taken
			if err := wire.Unmarshal(m.Data, &taken); err != nil {
				t.Fatal(err)
			}
			if taken.Code == string(code.Unavailable) {
				refused++
			}
		}
		if refused == 0 || refused > asked-64 {
			t.Errorf("%d of %d refused", refused, asked)
		}
	})
}

// A new owner answers nothing before the edges have reported what they granted without a lease.
func TestOwnerGathersTheLogs(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		s, server := start(t, policy.Limits{Messages: 6})
		for _, name := range []string{"one", "two"} {
			nc := server.Conn(t)
			_, err := nc.Subscribe(subject.EdgesLeases, func(m *nats.Msg) {
				report := wire.Leases{Edge: name, Shard: uint64(subject.Shard("ann")), Users: []wire.Leased{
					{User: "ann", Grants: []wire.Grants{{Action: wire.ActionMessage, Runs: []wire.Run{{AgeMs: 500, Count: 2}}}}},
				}}
				_ = m.Respond(wire.Marshal(&report)) // the test ends
			})
			if err == nil {
				err = nc.Flush()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		s.acquire(t, subject.Shard("ann"))
		granted := 0
		for range 6 {
			if take(t, s.nc, "ann", wire.ActionMessage).OK {
				granted++
			}
		}
		if granted != 2 {
			t.Errorf("%d granted, 4 of 6 were granted before", granted)
		}
	})
}

// An owner that was suspended past the end of its lease grants nothing: another one does.
func TestLateOwnerGrantsNothing(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		s, _ := start(t, policy.Limits{Messages: 6})
		shard := subject.Shard("ann")
		if err := s.Acquire(t.Context(), partition.LeaseUntil(shard, 1, time.Now().Add(time.Second))); err != nil {
			t.Fatal(err)
		}
		s.flush(t)
		if taken := take(t, s.nc, "ann", wire.ActionMessage); !taken.OK {
			t.Errorf("under the lease: %+v", taken)
		}
		<-time.NewTimer(time.Second).C
		if taken := take(t, s.nc, "ann", wire.ActionMessage); taken.Code != string(code.Unavailable) {
			t.Errorf("after it: %+v", taken)
		}
	})
}
