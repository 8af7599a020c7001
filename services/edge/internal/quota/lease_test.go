package quota_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/quota"
	"github.com/confab-chat/confab/shared/natsconn"
	"github.com/confab-chat/confab/shared/natstest"
)

// owner is a fake ratelimit: it holds requests until the test sets the answer.
type owner struct {
	asked []wire.Take
	done  []natsconn.Done
}

func (o *owner) Do(_ string, _ nats.Header, data []byte, _ time.Duration, done natsconn.Done) {
	var t wire.Take
	if err := wire.Unmarshal(data, &t); err != nil {
		panic(err)
	}
	o.asked, o.done = append(o.asked, t), append(o.done, done)
}

// answer answers the oldest request.
func (o *owner) answer(taken wire.Taken, err error) {
	done := o.done[0]
	o.done = o.done[1:]
	if err != nil {
		done(nil, err)
		return
	}
	done(&nats.Msg{Data: wire.Marshal(&taken)}, nil)
}

type leaseFixture struct {
	*quota.Quota
	owner
	now time.Time
	got []quota.Decision // in the order in which they came
}

func leasing() *leaseFixture {
	f := &leaseFixture{now: time.Unix(1000, 0)}
	f.Quota = quota.New(quota.Options{
		Edge: "e1", Requester: &f.owner, Limits: quota.Limits{wire.ActionMessage: 3, wire.ActionJoin: 2},
		Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return f.now },
	})
	return f
}

func (f *leaseFixture) take(a wire.Action, n int) {
	for range n {
		f.Take("ann", a, func(d quota.Decision) { f.got = append(f.got, d) })
	}
}

func (f *leaseFixture) granted() (n int) {
	for _, d := range f.got {
		if d.OK {
			n++
		}
	}
	return n
}

// lease is an answer that brings one of a minute, with so many messages granted now.
func lease(id, messages uint64) wire.Taken {
	return wire.Taken{OK: true, Lease: id, LeaseMs: 60_000, Grants: []wire.Grants{
		{Action: wire.ActionMessage, Runs: []wire.Run{{Count: messages}}},
	}}
}

func TestLeaseAsksOnce(t *testing.T) {
	t.Parallel()
	f := leasing()
	f.take(wire.ActionMessage, 3) // the first asks, the others wait for what comes of it
	if len(f.asked) != 1 || len(f.got) != 0 {
		t.Fatalf("%d requests, %d decisions", len(f.asked), len(f.got))
	}
	f.answer(lease(7, 1), nil)
	if f.take(wire.ActionMessage, 2); len(f.got) != 5 || f.granted() != 3 {
		t.Errorf("granted %d of %d, want 3 of 5", f.granted(), len(f.got))
	}
	if last := f.got[4]; last.RetryAfter != time.Minute {
		t.Errorf("the last: %+v", last)
	}
	if f.take(wire.ActionJoin, 1); !f.got[5].OK {
		t.Error("a lease is for all actions")
	}
	if len(f.asked) != 1 || f.Stats() != (quota.Stats{Asked: 1, Leased: 5}) {
		t.Errorf("%d requests, %+v", len(f.asked), f.Stats())
	}
}

// When it is over the next request says what was granted under it.
func TestLeaseIsRenewed(t *testing.T) {
	t.Parallel()
	f := leasing()
	f.take(wire.ActionMessage, 1)
	f.answer(lease(7, 1), nil)
	f.now = f.now.Add(59 * time.Second)
	f.take(wire.ActionMessage, 1)
	f.now = f.now.Add(time.Second)
	f.take(wire.ActionMessage, 1)
	if len(f.asked) != 2 {
		t.Fatalf("%d requests", len(f.asked))
	}
	again := f.asked[1]
	if again.Edge != "e1" || again.Lease != 7 || len(again.Grants) != 1 || len(again.Grants[0].Runs) != 1 || again.Grants[0].Runs[0] != (wire.Run{AgeMs: 1000, Count: 1}) {
		t.Errorf("renewed with %+v", again)
	}
}

func TestWithoutLeaseEachAsksInTurn(t *testing.T) {
	t.Parallel()
	f := leasing()
	f.take(wire.ActionMessage, 3)
	for i := range 3 {
		if len(f.asked) != i+1 {
			t.Fatalf("%d requests after %d answers", len(f.asked), i)
		}
		f.answer(wire.Taken{OK: i < 2}, nil)
	}
	if len(f.got) != 3 || f.granted() != 2 {
		t.Errorf("%+v", f.got)
	}
}

// Who waits for an answer that does not come is decided here, at half the limit.
func TestWaitingIsDecidedWhenNobodyAnswers(t *testing.T) {
	t.Parallel()
	f := leasing()
	f.take(wire.ActionMessage, 3)
	f.answer(wire.Taken{}, nats.ErrTimeout)
	if len(f.got) != 3 || f.granted() != 2 || !f.got[2].Local || len(f.asked) != 1 {
		t.Errorf("%d requests, %+v", len(f.asked), f.got)
	}
}

// What was granted while ratelimit did not answer is reported to the owner that does.
func TestSpentIsTold(t *testing.T) {
	t.Parallel()
	f := leasing()
	f.take(wire.ActionMessage, 2)
	f.answer(wire.Taken{}, nats.ErrTimeout)
	f.now = f.now.Add(quota.Probe)
	f.take(wire.ActionMessage, 1)
	if spent := f.asked[1].Spent; len(spent) != 1 || len(spent[0].Runs) != 1 || spent[0].Runs[0] != (wire.Run{AgeMs: 1000, Count: 2}) {
		t.Errorf("told %+v", spent)
	}
	f.answer(wire.Taken{OK: true}, nil)
	f.take(wire.ActionMessage, 1)
	if spent := f.asked[2].Spent; len(spent) != 0 {
		t.Errorf("told again: %+v", spent)
	}
}

// A recall that overtakes the lease that it is about ends it all the same.
func TestRecallBeforeTheLease(t *testing.T) {
	t.Parallel()
	f, ask := served(t)
	f.take(wire.ActionMessage, 1)
	if got := ask(wire.Recall{User: "ann", Lease: 7}); got.Lease != 0 {
		t.Errorf("gave back %+v", got)
	}
	f.answer(lease(7, 1), nil)
	if f.take(wire.ActionMessage, 1); len(f.asked) != 2 {
		t.Errorf("%d requests: the lease was void", len(f.asked))
	}
	f.answer(lease(8, 2), nil) // a later one is not
	if f.take(wire.ActionMessage, 1); len(f.asked) != 2 || f.granted() != 3 {
		t.Errorf("%d requests, %d granted", len(f.asked), f.granted())
	}
}

func TestRecallGivesTheLogBack(t *testing.T) {
	t.Parallel()
	f, ask := served(t)
	f.take(wire.ActionMessage, 1)
	f.answer(lease(7, 1), nil)
	f.take(wire.ActionMessage, 1)
	if got := ask(wire.Recall{User: "ann", Lease: 6}); got.Lease != 0 {
		t.Errorf("an earlier lease: %+v", got)
	}
	got := ask(wire.Recall{User: "ann", Lease: 7})
	if got.Lease != 7 || len(got.Grants) != 1 || got.Grants[0].Runs[0].Count != 2 {
		t.Errorf("gave back %+v", got)
	}
	if got := ask(wire.Recall{User: "ann", Lease: 7}); got.Lease != 0 {
		t.Errorf("twice: %+v", got)
	}
	if f.take(wire.ActionMessage, 1); len(f.asked) != 2 || f.asked[1].Lease != 0 {
		t.Errorf("asked %+v", f.asked)
	}
}

// served runs f on a NATS server, and asks it as an owner does.
func served(t *testing.T) (*leaseFixture, func(wire.Recall) wire.Leased) {
	t.Helper()
	f, srv := leasing(), natstest.Start(t)
	listen(t, f.Quota, srv)
	nc := srv.Conn(t)
	return f, func(r wire.Recall) (leased wire.Leased) {
		t.Helper()
		m, err := nc.Request(subject.EdgeRecall("e1"), wire.Marshal(&r), 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if err := wire.Unmarshal(m.Data, &leased); err != nil {
			t.Fatal(err)
		}
		return leased
	}
}

// A new owner hears what is held in its shard; an edge that stops gives it back.
func TestSyncAndReturn(t *testing.T) {
	t.Parallel()
	f, srv := leasing(), natstest.Start(t)
	stop := listen(t, f.Quota, srv)
	f.take(wire.ActionMessage, 1)
	f.answer(lease(7, 1), nil)
	nc := srv.Conn(t)
	shard := subject.Shard("ann")
	returns, err := nc.SubscribeSync(subject.Limit(shard, subject.OpReturn))
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	check := func(what string, m *nats.Msg, err error) {
		t.Helper()
		var got wire.Leases
		if err == nil {
			err = wire.Unmarshal(m.Data, &got)
		}
		if err != nil || got.Edge != "e1" || got.Shard != uint64(shard) || len(got.Users) != 1 || got.Users[0].User != "ann" ||
			got.Users[0].Lease != 7 || got.Users[0].Grants[0].Runs[0].Count != 1 {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	other := wire.LeaseSync{Shard: uint64(shard+1) % subject.Shards}
	if m, err := nc.Request(subject.EdgesLeases, wire.Marshal(&other), 100*time.Millisecond); err == nil {
		t.Errorf("another shard: %q", m.Data)
	}
	m, err := nc.Request(subject.EdgesLeases, wire.Marshal(&wire.LeaseSync{Shard: uint64(shard)}), 5*time.Second)
	check("sync", m, err)
	stop()
	m, err = returns.NextMsg(5 * time.Second)
	check("return", m, err)
}

// What ratelimit has granted through this edge counts when the edge decides alone: a stall
// forgives nothing, however often it comes.
func TestStallForgivesNothing(t *testing.T) {
	t.Parallel()
	f := leasing()
	for range 2 {
		f.take(wire.ActionMessage, 1)
		f.answer(wire.Taken{OK: true}, nil)
	}
	for range 5 {
		f.take(wire.ActionMessage, 1)
		f.answer(wire.Taken{}, nats.ErrTimeout)
		f.now = f.now.Add(quota.Probe)
		f.take(wire.ActionMessage, 1)
		f.answer(wire.Taken{}, nil) // refused
		f.now = f.now.Add(quota.Probe)
	}
	if f.granted() != 2 {
		t.Errorf("%d granted: half of 3 was granted by ratelimit before", f.granted())
	}
}

// The same after a lease, which has the log of its time.
func TestLeaseCountsWhenItHasEnded(t *testing.T) {
	t.Parallel()
	f, ask := served(t)
	f.take(wire.ActionMessage, 1)
	f.answer(lease(7, 1), nil)
	f.take(wire.ActionMessage, 1)
	ask(wire.Recall{User: "ann", Lease: 7})
	f.take(wire.ActionMessage, 1)
	f.answer(wire.Taken{}, nats.ErrTimeout)
	if f.granted() != 2 || !f.got[2].Local {
		t.Errorf("%d granted, %+v", f.granted(), f.got)
	}
}

// A new owner gets what was granted without a lease, and what was granted meanwhile once.
func TestSyncReportsWhatWasGranted(t *testing.T) {
	t.Parallel()
	f, srv := leasing(), natstest.Start(t)
	listen(t, f.Quota, srv)
	f.take(wire.ActionMessage, 1)
	f.answer(wire.Taken{OK: true}, nil)
	f.take(wire.ActionMessage, 1)
	f.answer(wire.Taken{}, nats.ErrTimeout) // granted here
	m, err := srv.Conn(t).Request(subject.EdgesLeases, wire.Marshal(&wire.LeaseSync{Shard: uint64(subject.Shard("ann"))}), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var got wire.Leases
	if err := wire.Unmarshal(m.Data, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Users) != 1 || got.Users[0].User != "ann" || got.Users[0].Lease != 0 || got.Users[0].Grants[0].Runs[0].Count != 2 {
		t.Errorf("reported %+v", got)
	}
	f.now = f.now.Add(quota.Probe)
	f.take(wire.ActionMessage, 1)
	if spent := f.asked[2].Spent; len(spent) != 0 {
		t.Errorf("reported twice: %+v", spent)
	}
}

// A permit that was not needed is free again: under a lease, alone, and at the owner.
func TestReturn(t *testing.T) {
	t.Parallel()
	f := leasing()
	f.take(wire.ActionMessage, 3)
	f.answer(lease(7, 1), nil)
	f.Return("ann", wire.ActionMessage)
	if f.take(wire.ActionMessage, 2); f.granted() != 4 || len(f.asked) != 1 {
		t.Errorf("under a lease: %d granted, %d requests", f.granted(), len(f.asked))
	}

	f = leasing()
	f.take(wire.ActionMessage, 1)
	f.answer(wire.Taken{}, nats.ErrTimeout)
	f.take(wire.ActionMessage, 2)
	f.Return("ann", wire.ActionMessage)
	if f.take(wire.ActionMessage, 1); f.granted() != 3 || len(f.asked) != 1 {
		t.Errorf("alone: %d granted, %d requests", f.granted(), len(f.asked))
	}

	r := &returns{}
	q := quota.New(quota.Options{
		Edge: "e1", Requester: r, Limits: quota.Limits{wire.ActionMessage: 3}, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	q.Take("ann", wire.ActionMessage, func(quota.Decision) {})
	q.Return("ann", wire.ActionMessage)
	if len(r.got) != 1 || r.got[0].Users[0].User != "ann" || r.got[0].Users[0].Unused != wire.ActionMessage {
		t.Errorf("at the owner: %+v", r.got)
	}
}

// returns is a ratelimit that grants everything, and keeps what is returned.
type returns struct{ got []wire.Leases }

func (r *returns) Do(subj string, _ nats.Header, data []byte, _ time.Duration, done natsconn.Done) {
	if subj == subject.Limit(subject.Shard("ann"), subject.OpReturn) {
		var l wire.Leases
		if err := wire.Unmarshal(data, &l); err != nil {
			panic(err)
		}
		r.got = append(r.got, l)
		return
	}
	done(&nats.Msg{Data: wire.Marshal(&wire.Taken{OK: true})}, nil)
}
