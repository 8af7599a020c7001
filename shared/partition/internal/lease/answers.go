package lease

import "time"

// Acked records that the publication op of a shard was stored as revision.
func (t *Table) Acked(now time.Time, shard int, op, revision uint64) {
	s := &t.shards[shard]
	sent, ok := s.answeredOp(op)
	switch {
	case !ok: // abandoned long ago: the watch will show its result
	case s.phase == claiming && revision <= s.sentFloor:
		// The revision is not above all seen so far: the bucket lost its memory and its
		// epochs would repeat. No lease may be taken from it.
		t.rewound = true
		s.phase, s.retryAt = idle, now.Add(t.cfg.Renew)
		t.rewatch()
	case s.phase == claiming:
		t.startLease(now, s, shard, revision, sent)
	case s.phase == dropping:
		s.phase = idle
		t.vacate(now, s, max(revision, s.rev))
	case s.active():
		s.own, s.deadline = max(s.own, revision), later(s.deadline, sent.Add(t.cfg.TTL))
		// If the answer was late, the next renewal was sent with the same expected
		// revision and will be refused: send another one at once.
		s.hurry = s.op != 0
		s.op, s.uncertain, s.doubt, s.refusals = 0, false, false, 0
		if revision > s.rev {
			s.rev, s.held, s.seen = revision, true, now
			s.holder = Holder{t.cfg.Instance, t.cfg.Generation, s.epoch}
		}
	}
	t.floor = max(t.floor, revision)
}

// startLease starts the lease that a claim has won.
func (t *Table) startLease(now time.Time, s *shard, shard int, revision uint64, sent time.Time) {
	s.epoch, s.own, s.deadline = revision, revision, sent.Add(t.cfg.TTL)
	s.over, s.uncertain, s.doubt, s.refusals, s.reclaim = false, false, false, 0, false
	s.refused, s.odd, s.late, s.hurry = time.Time{}, false, 0, false
	if s.gave { // handed over, but no instance acquired it: keep it for a while
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

// Refused records that the compare-and-set op failed.
func (t *Table) Refused(now time.Time, shard int, op uint64) {
	s := &t.shards[shard]
	sent, ok := s.answeredOp(op)
	switch {
	case !ok:
	case s.phase == claiming || s.phase == dropping:
		s.phase, s.odd = idle, !s.odd
		s.retryAt = now.Add(t.cfg.Renew / paceDivisor)
		if s.refused.IsZero() {
			s.refused = now
		} else if now.Sub(s.refused) > t.cfg.Renew && t.watch == synced {
			t.rewatch() // the watch should have shown the conflicting change long ago
		}
	case s.active():
		t.renewalRefused(now, s, shard, sent)
	}
}

// renewalRefused decides what the refusal of a renewal means that was sent at sent.
func (t *Table) renewalRefused(now time.Time, s *shard, shard int, sent time.Time) {
	if sent.Before(t.syncedAt) {
		return // the new watch's listing knows better
	}
	s.refusals++
	switch {
	case s.doubt && !t.ours(s):
		t.lose(now, s, shard)
	case s.uncertain:
		// An earlier renewal may be the cause: the watch will show it, or the deadline ends the lease.
		s.doubt = false
	case s.refusals >= refusalsToLose:
		t.lose(now, s, shard)
	case t.ours(s) && t.watch == synced:
		t.rewatch() // the key changed without a message on the watch: a purge, or a new bucket
	}
}

// answeredOp ends the wait for publication op and returns when it was sent; ok is false
// if op is not pending. A renewal stays pending until its successor is abandoned too: else
// no lease would last while answers take longer than Renew.
func (s *shard) answeredOp(op uint64) (sent time.Time, ok bool) {
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

// Failed records that op has no answer and will get none: not connected, or no server
// accepts it. Whether it was stored is unknown.
func (t *Table) Failed(now time.Time, shard int, op uint64) {
	s := &t.shards[shard]
	if s.op == op {
		t.unanswered(now, s)
		s.doubt = false // no answer can be expected now; the next watch raises it again
	}
}

// NoStream records that op failed because the bucket's stream does not exist or has no
// leader. A new watch will show which, and create it if necessary.
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
