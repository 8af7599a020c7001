package lease

import "time"

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
