package lease

import "time"

// Reset says that a new watch begins: every present key will be seen again.
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

// Blind says that the watch has ended.
func (t *Table) Blind() { t.watch = blind }

// SyncDone says that the watch has shown every present key.
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
	t.nextRenew = now // everybody else may have lost sight of us
}

// keepAway sees to it that what a lost bucket forgot is left to its holders.
// Their leases are valid until they expire, and they claim them again when they
// notice. Others wait for as long, also for shards that were free: somebody may
// have taken them just before.
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

// LeaseSeen says that the watch shows a record of a shard's key.
func (t *Table) LeaseSeen(now time.Time, shard int, revision uint64, h Holder) {
	s := &t.shards[shard]
	t.floor = max(t.floor, revision)
	if revision <= s.rev {
		return // older than what an answer told us
	}
	if !s.held || s.holder.Instance != h.Instance {
		t.changed()
	}
	s.rev, s.held, s.holder, s.seen = revision, true, h, now
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

// LeaseGone says that the watch shows the marker of the end of a shard's key.
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

// MemberSeen says that the watch shows the announcement of an instance.
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

// MemberGone says that the announcement of an instance ended.
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

// Acked says that the publication op of a shard was stored as revision.
func (t *Table) Acked(now time.Time, shard int, op, revision uint64) {
	s := &t.shards[shard]
	sent, ok := s.take(op)
	switch {
	case !ok: // long given up on: the watch will show it
	case s.phase == claiming && revision <= s.sentFloor:
		// Not above everything ever seen: the bucket lost its memory and its
		// epochs would repeat. Nothing may be served from it.
		t.rewound = true
		s.phase, s.retryAt = idle, now.Add(t.cfg.Renew)
		t.rewatch()
	case s.phase == claiming:
		t.took(now, s, shard, revision, sent)
	case s.phase == dropping:
		s.phase = idle
		t.vacate(now, s, max(revision, s.rev))
	case s.active():
		s.own, s.deadline = max(s.own, revision), later(s.deadline, sent.Add(t.cfg.TTL))
		// If the answer was late, its successor was sent with the same
		// expectation and will be refused: send one at once that is not.
		s.hurry = s.op != 0
		s.op, s.uncertain, s.doubt, s.refusals = 0, false, false, 0
		if revision > s.rev {
			s.rev, s.held, s.seen = revision, true, now
			s.holder = Holder{t.cfg.Instance, t.cfg.Generation, s.epoch}
		}
	}
	t.floor = max(t.floor, revision)
}

// took begins the lease that a claim won.
func (t *Table) took(now time.Time, s *shard, shard int, revision uint64, sent time.Time) {
	s.epoch, s.own, s.deadline = revision, revision, sent.Add(t.cfg.TTL)
	s.over, s.uncertain, s.doubt, s.refusals, s.reclaim = false, false, false, 0, false
	s.refused, s.odd, s.late, s.hurry = time.Time{}, false, 0, false
	if s.gave { // we had handed it over and nobody came: keep it for a while
		s.gave = false
		s.keepFor = min(max(2*s.keepFor, keepMin), keepMax)
		s.keepUntil = now.Add(s.keepFor)
	}
	if revision > s.rev {
		s.rev, s.held, s.seen = revision, true, now
		s.holder = Holder{t.cfg.Instance, t.cfg.Generation, 0}
		t.changed()
	}
	s.phase = starting
	t.do(Action{Verb: Start, Shard: shard, Epoch: s.epoch})
}

// Refused says that the compare-and-set op was lost.
func (t *Table) Refused(now time.Time, shard int, op uint64) {
	s := &t.shards[shard]
	sent, ok := s.take(op)
	switch {
	case !ok:
	case s.phase == claiming || s.phase == dropping:
		s.phase, s.odd = idle, !s.odd
		s.retryAt = now.Add(t.cfg.Renew / paceDivisor)
		if s.refused.IsZero() {
			s.refused = now
		} else if now.Sub(s.refused) > t.cfg.Renew && t.watch == synced {
			t.rewatch() // what is refused should have been seen to change long ago
		}
	case s.active():
		t.renewalRefused(now, s, shard, sent)
	}
}

// renewalRefused weighs the refusal of a renewal sent at sent.
func (t *Table) renewalRefused(now time.Time, s *shard, shard int, sent time.Time) {
	if sent.Before(t.syncedAt) {
		return // the listing told more
	}
	s.refusals++
	switch {
	case s.doubt && !t.ours(s):
		t.lose(now, s, shard)
	case s.uncertain:
		// An earlier renewal may be the reason: the watch will show it, or the deadline ends it.
		s.doubt = false
	case s.refusals >= refusalsToLose:
		t.lose(now, s, shard)
	case t.ours(s) && t.watch == synced:
		t.rewatch() // the key changed and we were not shown: a purge, or another bucket
	}
}

// take ends the wait for publication op and returns when it was sent; ok is
// false if it is not waited for. A renewal is waited for until its successor
// is given up on as well: with answers slower than Renew no lease would last.
func (s *shard) take(op uint64) (sent time.Time, ok bool) {
	switch op {
	case 0:
		return time.Time{}, false
	case s.op:
		s.op, s.late = 0, 0
		return s.sentAt, true
	case s.late:
		s.late = 0
		return s.lateSentAt, true
	}
	return time.Time{}, false
}

// Failed says that op was not answered and will not be: not connected, or no
// server takes it. Whether it was stored is unknown.
func (t *Table) Failed(now time.Time, shard int, op uint64) {
	s := &t.shards[shard]
	if s.op == op {
		t.unanswered(now, s)
		s.doubt = false // no answer to be had at once; the next watch will raise it again
	}
}

// NoStream says that op failed because nothing stores the bucket: it is gone,
// or has no leader. Looking at it anew will show which, and create it.
func (t *Table) NoStream(now time.Time, shard int, op uint64) {
	t.Failed(now, shard, op)
	if t.watch == synced {
		t.rewatch()
	}
}

func (t *Table) unanswered(now time.Time, s *shard) {
	op := s.op
	s.op = 0
	switch {
	case s.phase == claiming || s.phase == dropping:
		s.phase, s.retryAt = idle, now.Add(t.cfg.Renew/paceDivisor)
	case s.active():
		s.uncertain = true
		s.late, s.lateSentAt = op, s.sentAt
	}
}

// Started says that Acquire returned.
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

// Stopped says that Release returned.
func (t *Table) Stopped(shard int) {
	s := &t.shards[shard]
	s.phase = returning
	if s.over {
		s.phase = idle
	}
}

// Quit begins the graceful stop: nothing is claimed any more and everything is given back.
func (t *Table) Quit() {
	if t.quit {
		return
	}
	t.quit = true
	t.do(Action{Verb: Withdraw})
}

// lose ends our lease on a shard that is not given back but gone.
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
