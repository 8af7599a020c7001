package lease

import "time"

// Reset records that a new watch begins: it will show every existing key again.
func (t *Table) Reset() {
	t.watch = listing
	t.joinedAt = time.Time{}
	clear(t.listed)
	for i := range t.shards {
		s := &t.shards[i]
		s.known = s.known || s.held
		s.held, s.rev, s.holder = false, 0, Holder{}
		s.refused, s.odd = time.Time{}, false
	}
	t.changed()
}

// Blind records that the watch has ended.
func (t *Table) Blind() { t.watch = blind }

// SyncDone records that the watch has shown every existing key.
func (t *Table) SyncDone(now time.Time) {
	t.watch, t.rewound = synced, false
	t.syncedAt = now
	for name := range t.live {
		if !t.listed[name] {
			delete(t.live, name)
			t.changedAt = now
		}
	}
	t.keepAway()
	for i := range t.shards {
		s := &t.shards[i]
		s.known = false
		if !s.held {
			s.gone = now
		}
		if !s.active() {
			continue
		}
		if s.op != 0 {
			t.unanswered(now, s) // the answer may have been lost with the connection
		}
		s.doubt = !t.ours(s)
	}
	t.changed()
	t.nextRenew = now // other instances may have missed our announcement
}

// keepAway leaves shards whose records were lost with the bucket to their holders. Their
// leases are valid until they expire, and the holders claim them again when they notice.
// Other instances wait for as long, also for shards that seemed free: another instance
// may have acquired them just before the loss.
func (t *Table) keepAway() {
	forgot := false
	var last time.Time
	for i := range t.shards {
		s := &t.shards[i]
		forgot = forgot || s.known && s.rev == 0
		last = later(last, s.seen)
	}
	if !forgot {
		return
	}
	for i := range t.shards {
		if s := &t.shards[i]; s.phase == idle && !s.reclaim {
			s.retryAt = later(s.retryAt, last.Add(t.cfg.TTL))
		}
	}
}

// LeaseSeen records that the watch shows a record of a shard's key.
func (t *Table) LeaseSeen(now time.Time, shard int, revision uint64, h Holder) {
	s := &t.shards[shard]
	t.floor = max(t.floor, revision)
	if revision <= s.rev {
		return // older than what an answer has shown
	}
	if !s.held || s.holder.Instance != h.Instance {
		t.changed()
	}
	s.rev, s.held, s.holder, s.seen = revision, true, h, now
	if revision != s.latest {
		s.latest, s.latestAt = revision, now
	}
	s.refused, s.odd = time.Time{}, false
	if t.mine(s) {
		if s.active() && t.ours(s) {
			s.own = max(s.own, revision)
		}
		return
	}
	s.gave, s.reclaim = false, false
	if s.active() && revision > s.own {
		t.lose(now, s, shard)
	}
}

// LeaseGone records that the watch shows the marker of the end of a shard's key.
func (t *Table) LeaseGone(now time.Time, shard int, revision uint64) {
	s := &t.shards[shard]
	t.floor = max(t.floor, revision)
	if revision <= s.rev {
		return
	}
	t.vacate(now, s, revision)
	if s.active() && revision > s.own {
		t.lose(now, s, shard)
	}
}

// vacate records that the key of s ended.
func (t *Table) vacate(now time.Time, s *shard, revision uint64) {
	if s.held || s.gone.IsZero() {
		s.gone = now
		t.changed()
	}
	s.rev, s.held, s.holder, s.known = revision, false, Holder{}, false
	s.refused, s.odd = time.Time{}, false
}

// MemberSeen records that the watch shows the announcement of an instance.
func (t *Table) MemberSeen(now time.Time, name string, revision uint64) {
	t.floor = max(t.floor, revision)
	t.listed[name] = true
	if _, ok := t.live[name]; !ok {
		t.changedAt, t.grownAt = now, now
		t.changed()
	}
	t.live[name] = now
	if name == t.cfg.Instance && t.joinedAt.IsZero() {
		t.joinedAt = now
	}
}

// MemberGone records that the announcement of an instance ended.
func (t *Table) MemberGone(now time.Time, name string, revision uint64) {
	t.floor = max(t.floor, revision)
	delete(t.listed, name)
	if _, ok := t.live[name]; ok {
		delete(t.live, name)
		t.changedAt = now
		t.changed()
	}
	if name == t.cfg.Instance {
		t.joinedAt = time.Time{}
	}
}

// Started records that Acquire returned.
func (t *Table) Started(now time.Time, shard int, err error) {
	s := &t.shards[shard]
	switch {
	case err != nil:
		s.acquireOff = min(max(2*s.acquireOff, t.cfg.Renew), acquireRetryMax)
		s.retryAt = now.Add(s.acquireOff)
		s.phase, s.reclaim = returning, false
		if s.over {
			s.phase = idle
		}
	case s.over || t.quit:
		t.stop(s, shard)
	default:
		s.acquireOff, s.phase = 0, serving
	}
	t.version++
}

// Stopped records that Release returned.
func (t *Table) Stopped(shard int) {
	s := &t.shards[shard]
	s.phase = returning
	if s.over {
		s.phase = idle
	}
}

// Quit begins the graceful stop: the table claims nothing more and returns all leases.
func (t *Table) Quit() {
	if t.quit {
		return
	}
	t.quit = true
	t.do(Action{Verb: Withdraw})
}

// lose ends our lease on a shard after we lost it.
func (t *Table) lose(now time.Time, s *shard, shard int) {
	s.over, s.op, s.late, s.doubt = true, 0, 0, false
	s.reclaim = !s.held || t.mine(s)
	s.retryAt = now
	t.do(Action{Verb: End, Shard: shard})
	switch s.phase {
	case serving:
		t.stop(s, shard)
	case returning:
		s.phase = idle
	}
}

func (t *Table) stop(s *shard, shard int) {
	s.phase = stopping
	t.version++
	t.do(Action{Verb: Stop, Shard: shard})
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (t *Table) rewatch() {
	t.watch = blind
	t.do(Action{Verb: Rewatch})
}
