package limit

import (
	"time"

	"github.com/confab-chat/confab/proto/wire"
)

// Key is what a limit applies to.
type Key struct {
	User   string
	Action wire.Action
}

const (
	// sweepStep is how many keys are checked whenever one is added: more than one, so that
	// idle keys leave faster than new ones arrive.
	sweepStep = 2

	// evictSample is how many keys are compared when a full table needs space.
	evictSample = 16
)

// Table holds the logs of many keys: those used in the last Window and idle ones that were
// not swept yet. It is not safe for concurrent use.
//
// It is bounded by its size. When it is full of keys in use, a new key replaces the one with
// the fewest grants among the next 16: that user may get these few grants again in the same
// Window. Refusing new keys instead would let a client that fills the table lock others out.
type Table struct {
	logs    map[Key]*slot
	slots   []*slot // the same, to walk them
	next    int     // index of the slot visited last
	size    int
	evicted uint64
	origin  time.Time // of the instants in the logs
}

type slot struct {
	key   Key
	index int // in Table.slots
	log   Log
}

// NewTable returns an empty table for at most size keys (at least 1).
func NewTable(size int) *Table {
	return &Table{logs: make(map[Key]*slot), size: max(size, 1)}
}

// Take asks for one permit of a key; see Log.Take.
func (t *Table) Take(now time.Time, key Key, limit int) (ok bool, retryAfter time.Duration) {
	if limit <= 0 {
		return true, 0
	}
	at := t.since(now)
	s := t.logs[key]
	if s == nil {
		s = t.add(at, key)
	}
	return s.log.Take(at, limit)
}

// Return removes the newest grant of a key, and reports whether there was one.
func (t *Table) Return(now time.Time, key Key) bool {
	s := t.logs[key]
	return s != nil && s.log.Return(t.since(now))
}

// Sweep checks the next n keys, drops idle ones and returns how many it dropped. Adding a
// key sweeps too; Sweep is for quiet hours after a rush.
func (t *Table) Sweep(now time.Time, n int) (dropped int) { return t.sweep(t.since(now), n) }

// Len returns the number of keys.
func (t *Table) Len() int { return len(t.slots) }

// Evicted returns how many keys in use were replaced because the table was full.
func (t *Table) Evicted() uint64 { return t.evicted }

// Snapshot appends the ages of a key's grants to dst, oldest first.
func (t *Table) Snapshot(dst []time.Duration, now time.Time, key Key) []time.Duration {
	s := t.logs[key]
	if s == nil {
		return dst
	}
	return s.log.Ages(dst, t.since(now))
}

// Restore replaces the log of a key with a Snapshot, of this or another table.
func (t *Table) Restore(now time.Time, key Key, ages []time.Duration) {
	at := t.since(now)
	s := t.logs[key]
	if s == nil {
		s = t.add(at, key)
	}
	s.log.Restore(at, ages)
}

// Drop forgets a key.
func (t *Table) Drop(key Key) {
	if s := t.logs[key]; s != nil {
		t.drop(s)
	}
}

func (t *Table) since(now time.Time) time.Duration {
	if t.origin.IsZero() {
		t.origin = now
	}
	return now.Sub(t.origin)
}

func (t *Table) add(at time.Duration, key Key) *slot {
	t.sweep(at, sweepStep)
	if len(t.slots) >= t.size {
		t.evict(at)
	}
	s := &slot{key: key, index: len(t.slots)}
	t.slots = append(t.slots, s)
	t.logs[key] = s
	return s
}

func (t *Table) sweep(at time.Duration, n int) (dropped int) {
	for range min(n, len(t.slots)) {
		if s := t.visit(); s.log.Idle(at) {
			t.drop(s)
			dropped++
		}
	}
	return dropped
}

// visit returns the next slot of the walk. It walks down, because a dropped slot is replaced
// by one from the end, where the newest are.
func (t *Table) visit() *slot {
	if t.next--; t.next < 0 || t.next >= len(t.slots) {
		t.next = len(t.slots) - 1
	}
	return t.slots[t.next]
}

// evict drops the key with the fewest grants of the next evictSample.
func (t *Table) evict(at time.Duration) {
	var least *slot
	fewest := 0
	for range min(evictSample, len(t.slots)) {
		s := t.visit()
		if used := s.log.Used(at); least == nil || used < fewest {
			least, fewest = s, used
		}
	}
	if fewest > 0 {
		t.evicted++
	}
	t.drop(least)
}

func (t *Table) drop(s *slot) {
	last := len(t.slots) - 1
	t.slots[s.index] = t.slots[last]
	t.slots[s.index].index = s.index
	t.slots[last] = nil
	t.slots = t.slots[:last]
	delete(t.logs, s.key)
}
