// Package lease is the state machine of one instance that shares a group's shards with
// others through leases. It has no I/O and no clock: callers report events (a key was
// seen, a publication was answered, a call returned) with their time, and [Table.Step]
// returns the actions to take.
//
// Two rules carry its safety. A lease is held only from the acknowledgement of
// a compare-and-set on the shard's key, until one TTL after the *sending* of
// the last acknowledged renewal: the server counts from the receipt, so its
// copy expires later than ours. And the epoch of a lease is the revision of
// the acquisition, so no two leases of a shard share one.
//
// The keys are known from a watch that may lag. The watch decides only what to try; the
// compare-and-set decides what happens.
package lease

import (
	"slices"
	"time"

	"github.com/confab-chat/confab/shared/partition/internal/assign"
)

// Config is the static part of a Table.
type Config struct {
	Shards     int
	Instance   string        // this instance
	Generation string        // this start of it; distinguishes its leases from those of an earlier start
	TTL, Renew time.Duration // of leases and of announcements
	MarkerTTL  time.Duration // how long the server keeps the marker of a key's end
}

// Intervals, as fractions of Renew.
const (
	settleDivisor = 10 // the first claims wait for so long without a new instance: those starting together share at once
	calmDivisor   = 2  // the first claims wait at most so long; hand-overs, at least so long without a change of instances
	paceDivisor   = 10 // between batches of hand-overs, and between attempts
	pollDivisor   = 20 // how often an unsettled table looks again

	// A publication is abandoned before the next renewal is due, so that no renewal is skipped.
	answerNumerator, answerDivisor = 3, 4
)

const (
	batchDivisor    = 16               // of the shards are a batch of hand-overs
	refusalsToLose  = 2                // a leader that is catching up may refuse wrongly once
	vanishTTLs      = 2                // TTLs without a renewal: the key went without a marker (a purge)
	forsakenTTLs    = 3                // TTLs without a renewal: the key does not expire (it was not written by us)
	keepMin         = 30 * time.Second // a shard that no other instance acquired is kept for so long,
	keepMax         = 5 * time.Minute  // doubling up to this
	acquireRetryMax = 30 * time.Second // attempts after a failed Acquire, doubling from Renew
)

// Holder is the content of a lease key: the instance that holds the lease.
type Holder struct {
	Instance, Generation string
	Epoch                uint64 // 0 in the record of the acquisition itself: its revision is the epoch
}

// phase is the state of this instance with respect to a shard.
type phase uint8

const (
	idle      phase = iota // not ours
	claiming               // compare-and-set sent
	starting               // ours, Acquire is running
	serving                // ours
	stopping               // Release is running
	returning              // Release returned; waiting for the answer to a renewal before the key is deleted
	dropping               // deletion sent
)

// shard is the state of one shard: its key as seen on the watch, and our own part.
type shard struct {
	// The key.
	holder Holder
	held   bool
	rev    uint64    // of the value or of the marker of its end; 0 if there is none
	gone   time.Time // since when it is not held
	seen   time.Time // when the last record was seen
	known  bool      // it was held before the present listing, which has not shown it yet

	latest   uint64    // highest revision of a record, kept when a new watch begins
	latestAt time.Time // when it was first seen

	// Our part.
	phase    phase
	epoch    uint64
	own      uint64 // revision of our last known record
	deadline time.Time
	over     bool // the lease ended before it was returned

	// The outstanding publication; 0 if none.
	op        uint64
	sentAt    time.Time
	sentFloor uint64 // floor then: whatever is stored later is above it

	late       uint64 // the renewal before, whose answer is overdue; 0 if none
	lateSentAt time.Time

	uncertain bool // a renewal was not answered: the revision may have changed
	hurry     bool // renew now, the last renewal took long
	doubt     bool // a new watch does not show our lease: renew now to find out
	refusals  int

	reclaim    bool      // lost while serving: claim it again if it is free
	gave       bool      // handed over, and not acquired by another instance yet
	keepUntil  time.Time // the last hand-over found no taker: do not hand it over before
	keepFor    time.Duration
	retryAt    time.Time // no claim before
	acquireOff time.Duration
	refused    time.Time // first refusal since the key was last seen to change; zero: none
	odd        bool      // the last claim was refused as well: the marker may have gone, or just not
}

// active reports whether the lease is ours as far as we know.
func (s *shard) active() bool { return s.phase >= starting && s.phase <= returning && !s.over }

// watch says how much of the keys is known.
type watch uint8

const (
	blind   watch = iota
	listing       // a new watch is delivering the present keys
	synced
)

// Table is the state of one instance. Its methods must not be called concurrently; all
// times must come from one monotonic clock.
type Table struct {
	cfg Config

	shards []shard
	live   map[string]time.Time // announced instances, when they were last seen
	listed map[string]bool      // those the present watch has shown
	watch  watch

	ops     uint64 // last op number
	floor   uint64 // highest revision seen on any key
	rewound bool   // the bucket's revisions went back below floor

	syncedAt  time.Time
	joinedAt  time.Time // our announcement was first seen by this watch; zero: not yet
	changedAt time.Time // live changed
	grownAt   time.Time // live grew
	nextRenew time.Time
	handAt    time.Time // next batch of hand-overs
	quit      bool

	wish    []string // intended owner of each shard; nil: to be computed
	version uint64
	actions []Action
}

// New returns the table of an instance that holds no lease and has seen no key.
func New(cfg Config) *Table {
	return &Table{
		cfg:    cfg,
		shards: make([]shard, cfg.Shards),
		live:   make(map[string]time.Time),
		listed: make(map[string]bool),
	}
}

// Epoch returns the epoch of our lease on a shard; ok reports whether we hold one.
func (t *Table) Epoch(shard int) (epoch uint64, ok bool) {
	s := &t.shards[shard]
	return s.epoch, s.active()
}

// Deadline returns the time until which our lease on a shard is known to hold. It is zero
// if we hold none, also if the lease was lost early.
func (t *Table) Deadline(shard int) time.Time {
	if s := &t.shards[shard]; s.active() {
		return s.deadline
	}
	return time.Time{}
}

// Serving reports whether the service has acquired the shard and need not release it.
func (t *Table) Serving(shard int) bool { return t.shards[shard].phase == serving }

// Holder returns the known holder of a shard, and the epoch of its lease.
func (t *Table) Holder(shard int) (h Holder, ok bool) {
	s := &t.shards[shard]
	h = s.holder
	if h.Epoch == 0 {
		h.Epoch = s.rev
	}
	return h, s.held
}

// Live returns the announced instances, sorted.
func (t *Table) Live() []string {
	names := make([]string, 0, len(t.live))
	for name := range t.live {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Version changes whenever the results of Serving, Holder or Live may have changed.
func (t *Table) Version() uint64 { return t.version }

// changed records a change of the known keys.
func (t *Table) changed() {
	t.wish = nil
	t.version++
}

// Synced reports whether the table knows all keys.
func (t *Table) Synced() bool { return t.watch == synced }

// Floor returns the highest revision ever seen. A new bucket must begin above it. rewound
// reports that the current bucket did not.
func (t *Table) Floor() (revision uint64, rewound bool) { return t.floor, t.rewound }

// Done reports whether a stopped table has returned all leases.
func (t *Table) Done() bool {
	if !t.quit {
		return false
	}
	for i := range t.shards {
		if t.shards[i].phase != idle {
			return false
		}
	}
	return true
}

// wanted returns the intended owner of each shard.
func (t *Table) wanted() []string {
	if t.wish == nil {
		held := make([]string, len(t.shards))
		for i := range t.shards {
			if t.shards[i].held {
				held[i] = t.shards[i].holder.Instance
			}
		}
		t.wish = assign.Owners(t.Live(), held)
	}
	return t.wish
}

// mine reports whether the key of s, as seen, is a record of this start of this instance.
func (t *Table) mine(s *shard) bool {
	return s.held && s.holder.Instance == t.cfg.Instance && s.holder.Generation == t.cfg.Generation
}

// ours reports whether the key of s, as seen, is a record of our current lease.
func (t *Table) ours(s *shard) bool {
	return t.mine(s) && (s.holder.Epoch == s.epoch || s.rev == s.epoch)
}
