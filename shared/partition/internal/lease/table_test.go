package lease_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/shared/partition/internal/lease"
)

func TestOneInstanceTakesEverything(t *testing.T) {
	t.Parallel()
	s := newSim(t, 64, 1)
	s.join()
	if d := s.waitSettled(time.Second); d > 500*time.Millisecond {
		t.Errorf("took %v", d)
	}
}

func TestTogetherTheyShareAtOnce(t *testing.T) {
	t.Parallel()
	s := newSim(t, 64, 2)
	for range 3 {
		s.join()
		s.run(20 * time.Millisecond)
	}
	s.waitSettled(time.Second)
	moves := 0
	for _, n := range s.nodes {
		moves += n.moves
	}
	if moves != 64 {
		t.Errorf("%d calls of Acquire and Release to start with 64 shards: instances that start together thrash", moves)
	}
}

func TestHandOverToNewInstance(t *testing.T) {
	t.Parallel()
	s := newSim(t, 64, 3)
	a := s.join()
	s.waitSettled(time.Second)
	s.join()
	if d := s.waitSettled(3 * time.Second); d < 500*time.Millisecond {
		t.Errorf("32 shards moved within %v: no pace", d)
	}
	if a.moves != 64+32 {
		t.Errorf("the old instance had %d calls, want 64 Acquire + 32 Release", a.moves)
	}
}

func TestGracefulStopIsFast(t *testing.T) {
	t.Parallel()
	s := newSim(t, 64, 4)
	a := s.join()
	s.join()
	s.waitSettled(3 * time.Second)
	a.quit()
	if d := s.waitSettled(time.Second); d > 200*time.Millisecond {
		t.Errorf("took %v", d)
	}
	s.run(time.Second)
	if a.alive {
		t.Error("the stopped table is not done")
	}
}

func TestCrashIsHealedByExpiry(t *testing.T) {
	t.Parallel()
	s := newSim(t, 64, 5)
	a := s.join()
	s.join()
	s.join()
	s.waitSettled(5 * time.Second)
	a.crash()
	if d := s.waitSettled(4 * time.Second); d < 2*time.Second || d > 3500*time.Millisecond {
		t.Errorf("took %v, want about a TTL", d)
	}
}

// Answers that take longer than the next renewal, as while a leader changes, still count.
func TestLateAnswersKeepLeases(t *testing.T) {
	t.Parallel()
	s := newSim(t, 8, 12)
	a := s.join()
	s.waitSettled(time.Second)
	a.lag = 1200 * time.Millisecond
	s.run(time.Minute)
	if a.moves != 8 {
		t.Errorf("%d calls of Acquire and Release of 8 shards", a.moves)
	}
	a.lag = 0
	s.run(5 * time.Second)
	if a.moves != 8 {
		t.Errorf("%d calls of Acquire and Release of 8 shards, after the lag", a.moves)
	}
}

func TestPartitionReleasesAfterTTL(t *testing.T) {
	t.Parallel()
	s := newSim(t, 64, 6)
	a := s.join()
	s.waitSettled(time.Second)
	a.disconnect()
	s.run(1900 * time.Millisecond)
	if !a.table.Serving(0) {
		t.Error("released long before the TTL")
	}
	s.run(1200 * time.Millisecond)
	for shard := range 64 {
		if a.table.Serving(shard) {
			t.Fatalf("shard %d is served after a TTL without renewal", shard)
		}
	}
	a.reconnect()
	s.waitSettled(time.Second)
}

func TestLostBucketStaysWhereItWas(t *testing.T) {
	t.Parallel()
	s := newSim(t, 64, 7)
	a := s.join()
	s.waitSettled(time.Second)
	b := s.join() // one after the other: a plan from nothing would be another
	s.waitSettled(3 * time.Second)
	before := make(map[int]bool)
	epochs := make(map[int]uint64)
	for shard := range 64 {
		before[shard] = a.table.Serving(shard)
		epochs[shard] = s.granted[shard]
	}
	moves := a.moves + b.moves
	b.slow = 900 * time.Millisecond // a knows long before b does
	s.wipe()
	s.run(2 * time.Second)
	s.waitSettled(time.Second)
	if n := a.moves + b.moves - moves; n != 2*64 {
		t.Errorf("%d calls of Release and Acquire, want one each for 64 shards", n)
	}
	for shard := range 64 {
		if a.table.Serving(shard) != before[shard] {
			t.Errorf("shard %d moved", shard)
		}
		holder := a
		if !before[shard] {
			holder = b
		}
		if epoch, _ := holder.table.Epoch(shard); epoch <= epochs[shard] {
			t.Errorf("shard %d: epoch %d after %d", shard, epoch, epochs[shard])
		}
	}
}

// The bucket lost its memory, and was written to before an instance noticed.
func TestRevisionsThatWentBackAreNotServed(t *testing.T) {
	t.Parallel()
	s := newSim(t, 8, 9)
	s.seq = 1_000_000
	s.join()
	s.waitSettled(time.Second)
	for range 3 {
		before := s.granted[0]
		s.wipe()
		s.put("stranger", key{value: true, expires: s.now.Add(s.cfg.TTL)})
		s.wiped = false // so that growing epochs are checked
		s.run(5 * time.Second)
		s.waitSettled(5 * time.Second)
		if s.granted[0] <= before {
			t.Fatalf("no new lease after epoch %d", before)
		}
	}
}

// A purge leaves no markers: the keys of a dead instance would be waited for forever.
func TestKeysThatVanishUnseen(t *testing.T) {
	t.Parallel()
	s := newSim(t, 8, 10)
	a := s.join()
	s.join()
	s.waitSettled(3 * time.Second)
	a.crash()
	s.run(100 * time.Millisecond)
	s.keys = make(map[string]*key)
	s.wiped = true
	s.waitSettled(10 * time.Second)
}

// single is the table of instance a, in that generation, for one shard.
func single(generation string) *lease.Table {
	return lease.New(lease.Config{
		Shards: 1, Instance: "a", Generation: generation, TTL: 3 * time.Second, Renew: time.Second, MarkerTTL: time.Minute,
	})
}

// The same for a lease whose holder is not announced, or announced anew.
func TestLeaseThatVanishesUnseen(t *testing.T) {
	t.Parallel()
	tab := single("2")
	now := time.Unix(1000, 0)
	tab.Reset()
	tab.LeaseSeen(now, 0, 7, lease.Holder{Instance: "a", Generation: "1"})
	tab.SyncDone(now)
	for i := range uint64(10) {
		now = now.Add(time.Second)
		tab.MemberSeen(now, "a", 8+i)
		for _, a := range tab.Step(now) {
			if a.Verb == lease.Rewatch {
				if i < 5 {
					t.Errorf("given up on after %d s, while its marker may still come", i+1)
				}
				return
			}
		}
	}
	t.Error("a lease without renewals is waited for")
}

// A claim that was stored but whose answer was lost must not cost a TTL.
func TestLostAnswerToClaim(t *testing.T) {
	t.Parallel()
	s := newSim(t, 8, 11)
	a := s.join()
	a.loseAcks = 1
	s.run(800 * time.Millisecond) // claimed, never answered, given up
	a.loseAcks = 0
	if d := s.waitSettled(2 * time.Second); d > 800*time.Millisecond {
		t.Errorf("took %v, longer than dropping and claiming again", d)
	}
}

// The marker of an end expires unseen; the next claim must find out what to expect.
func TestClaimFindsWhatToExpect(t *testing.T) {
	t.Parallel()
	tab := single("1")
	now := time.Unix(1000, 0)
	tab.Reset()
	tab.LeaseGone(now, 0, 7)
	tab.MemberSeen(now, "a", 8)
	tab.SyncDone(now)
	for i, want := range []uint64{7, 0, 7} {
		now = now.Add(200 * time.Millisecond)
		var got *lease.Action
		for _, a := range tab.Step(now) {
			if a.Verb == lease.Claim {
				got = &a
			}
		}
		if got == nil || got.Expect != want {
			t.Fatalf("claim %d is %+v, want one that expects %d", i, got, want)
		}
		tab.Refused(now, 0, got.Op)
	}
}

// An instance that cannot serve must not keep the shards dark that it should have.
func TestInstanceThatCannotAcquire(t *testing.T) {
	t.Parallel()
	s := newSim(t, 64, 8)
	a := s.join()
	s.waitSettled(time.Second)
	b := s.join()
	s.refuse = b.name
	s.run(2 * time.Minute)
	dark := 0
	const samples = 1000
	for range samples {
		s.run(100 * time.Millisecond)
		for shard := range 64 {
			if !a.table.Serving(shard) {
				dark++
			}
		}
	}
	if share := float64(dark) / (samples * 64); share > 0.05 {
		t.Errorf("shards are dark %.1f%% of the time", 100*share)
	}
	s.refuse = ""
	s.waitSettled(10 * time.Minute)
}

// In every history: no two valid leases of a shard and growing epochs
// (checked all the time), and afterwards everything is served, evenly, and nothing moves.
func TestChaos(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := newSim(rt, rapid.IntRange(1, 20).Draw(rt, "shards"), rapid.Uint64().Draw(rt, "seed"))
		s.join()
		for range rapid.IntRange(1, 15).Draw(rt, "steps") {
			s.chaos(rt)
			s.run(time.Duration(rapid.IntRange(0, 4000).Draw(rt, "ms")) * time.Millisecond)
		}
		for _, n := range s.aliveNodes() {
			n.loseAcks, n.lag = 0, 0
			n.reconnect()
		}
		s.join() // so that there is another instance
		s.run(10 * time.Second)
		s.waitSettled(6 * time.Minute)
		s.run(5 * time.Second) // a hand-over that had begun
		before := 0
		for _, n := range s.nodes {
			before += n.moves
		}
		s.run(20 * time.Second)
		for _, n := range s.nodes {
			before -= n.moves
		}
		if before != 0 {
			rt.Fatalf("%d calls although nothing happens", -before)
		}
	})
}

func (s *sim) chaos(rt *rapid.T) {
	alive := s.aliveNodes()
	pick := func() *node { return alive[rapid.IntRange(0, len(alive)-1).Draw(rt, "node")] }
	action := rapid.SampledFrom([]string{
		"join", "join", "quit", "crash", "cut", "heal", "acks", "lag", "wipe", "expire",
	}).Draw(rt, "action")
	if len(alive) == 0 || len(alive) < 6 && action == "join" {
		s.join()
		return
	}
	switch action {
	case "quit":
		pick().quit()
	case "crash":
		pick().crash()
	case "cut":
		if n := pick(); n.up {
			n.disconnect()
		}
	case "heal":
		pick().reconnect()
	case "acks":
		pick().loseAcks = rapid.Float64Range(0, 0.9).Draw(rt, "lost")
	case "lag":
		pick().lag = time.Duration(rapid.IntRange(0, 3000).Draw(rt, "lag")) * time.Millisecond
	case "wipe":
		s.wipe()
	case "expire": // everything stands still until the markers are gone
		s.run(70 * time.Second)
	}
}

// A lease that another instance has acquired is not ours, however long it was to hold.
func TestTakenLeaseHasNoDeadline(t *testing.T) {
	t.Parallel()
	tab := single("1")
	now := time.Unix(1000, 0)
	tab.Reset()
	tab.SyncDone(now)
	tab.MemberSeen(now, "a", 1)
	var claim lease.Action
	for _, a := range tab.Step(now.Add(time.Second)) {
		if a.Verb == lease.Claim {
			claim = a
		}
	}
	tab.Acked(now, 0, claim.Op, 2)
	tab.Started(now, 0, nil)
	if until := tab.Deadline(0); !until.After(now) || !tab.Serving(0) {
		t.Fatalf("claimed: until %v, at %v", until, now)
	}
	tab.LeaseSeen(now, 0, 3, lease.Holder{Instance: "b", Generation: "1"})
	if until := tab.Deadline(0); until.After(now) {
		t.Errorf("taken: valid for %v", until.Sub(now))
	}
}
