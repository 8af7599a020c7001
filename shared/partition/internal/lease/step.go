package lease

import "time"

// Step returns the actions due at now. It must be called after every event and at the
// time of [Table.Next]. The slice is valid until the next call.
func (t *Table) Step(now time.Time) []Action {
	t.expire(now)
	t.renew(now)
	if t.watch == synced && !t.quit {
		t.reap(now)
		t.claim(now)
		t.handOver(now)
		if t.stale(now) {
			t.rewatch()
		}
	}
	t.returnReleased(now)
	out := t.actions
	t.actions = nil
	return out
}

// Next returns when Step must be called if no event comes before.
func (t *Table) Next(now time.Time) time.Time {
	next := t.nextRenew
	if t.unsettled() {
		if poll := now.Add(t.cfg.Renew / pollDivisor); poll.Before(next) {
			next = poll
		}
	}
	for i := range t.shards {
		if s := &t.shards[i]; s.active() && s.deadline.Before(next) {
			next = s.deadline
		}
	}
	return next
}

// unsettled reports whether the table waits for something other than a renewal.
func (t *Table) unsettled() bool {
	var wish []string
	if t.watch == synced {
		if t.joinedAt.IsZero() {
			return true
		}
		wish = t.wanted()
	}
	for i := range t.shards {
		s := &t.shards[i]
		if s.phase != idle && s.phase != serving {
			return true
		}
		if wish != nil && (!s.held || wish[i] != s.holder.Instance) {
			return true
		}
	}
	return false
}

// stale reports whether the watch has missed something: it does not show our own
// announcement, or a key has not been renewed for so long that it must have ended.
func (t *Table) stale(now time.Time) bool {
	if now.Sub(t.syncedAt) <= t.cfg.TTL {
		return false
	}
	if now.Sub(t.live[t.cfg.Instance]) > t.cfg.TTL {
		return true
	}
	for _, seen := range t.live {
		if now.Sub(seen) > vanishTTLs*t.cfg.TTL {
			return true
		}
	}
	for i := range t.shards {
		if s := &t.shards[i]; s.held && now.Sub(s.seen) > vanishTTLs*t.cfg.TTL {
			return true
		}
	}
	return false
}

// expire ends leases past their deadline and abandons overdue publications.
func (t *Table) expire(now time.Time) {
	for i := range t.shards {
		s := &t.shards[i]
		if s.active() && !now.Before(s.deadline) {
			t.lose(now, s, i)
		}
		if s.op != 0 && now.Sub(s.sentAt) >= t.cfg.Renew*answerNumerator/answerDivisor {
			t.unanswered(now, s)
		}
	}
}

// renew sends all renewals together, so that they share a packet and a wake-up.
func (t *Table) renew(now time.Time) {
	due := !now.Before(t.nextRenew)
	if due {
		t.nextRenew = t.nextRenew.Add(t.cfg.Renew)
		if !now.Before(t.nextRenew) {
			t.nextRenew = now.Add(t.cfg.Renew)
		}
		if t.watch == synced && !t.quit {
			t.do(Action{Verb: Announce})
		}
	}
	for i := range t.shards {
		s := &t.shards[i]
		if !s.active() || s.phase == returning || s.op != 0 || !(due || s.doubt || s.hurry) {
			continue
		}
		t.send(now, Action{Verb: Renew, Shard: i, Expect: s.own, Epoch: s.epoch})
	}
}

// send emits a publication and waits for its answer.
func (t *Table) send(now time.Time, a Action) {
	s := &t.shards[a.Shard]
	t.ops++
	s.op, s.sentAt, s.sentFloor, s.hurry = t.ops, now, t.floor, false
	if a.Verb != Renew {
		s.late = 0
	}
	a.Op = t.ops
	t.do(a)
}

// reap ends keys that name us although we do not hold the lease: after a claim whose
// answer was lost, or a lease that ended while the server was unreachable.
func (t *Table) reap(now time.Time) {
	for i := range t.shards {
		s := &t.shards[i]
		if s.phase == idle && t.mine(s) && !now.Before(s.retryAt) {
			s.phase = dropping
			t.send(now, Action{Verb: Drop, Shard: i, Expect: s.rev})
		}
	}
}

// settled reports whether it is time for claims: instances that start at the same time
// have announced themselves.
func (t *Table) settled(now time.Time) bool {
	if t.joinedAt.IsZero() {
		return false
	}
	return now.Sub(later(t.joinedAt, t.grownAt)) >= t.cfg.Renew/settleDivisor || now.Sub(t.joinedAt) >= t.cfg.Renew/calmDivisor
}

// forsaken reports whether the key of s is held but was not renewed for so long that the lease
// has ended, although the watch still shows it: it was written without a TTL.
func (t *Table) forsaken(now time.Time, s *shard) bool {
	return s.held && !t.mine(s) && now.Sub(s.latestAt) > forsakenTTLs*t.cfg.TTL
}

// claim sends claims for the free and the forsaken shards that should be ours.
func (t *Table) claim(now time.Time) {
	settled := t.settled(now)
	for i := range t.shards {
		s := &t.shards[i]
		forsaken := t.forsaken(now, s)
		if s.phase != idle || s.held && !forsaken || now.Before(s.retryAt) {
			continue
		}
		// Any instance may claim a shard that its intended owner has not claimed for a TTL.
		abandoned := now.Sub(s.gone) > t.cfg.TTL
		if forsaken {
			abandoned = now.Sub(s.latestAt) > (forsakenTTLs+1)*t.cfg.TTL
		}
		if !s.reclaim && !(settled && (abandoned || t.wanted()[i] == t.cfg.Instance)) {
			continue
		}
		expect := s.rev
		if !forsaken && now.Sub(s.gone) >= t.cfg.MarkerTTL {
			expect = 0
		}
		if !forsaken && s.odd {
			expect = s.rev - expect
		}
		s.phase = claiming
		t.send(now, Action{Verb: Claim, Shard: i, Expect: expect})
	}
}

// handOver starts to release shards that other instances should own: in batches, not while
// instances join or leave, and only as fast as the new owners acquire them.
func (t *Table) handOver(now time.Time) {
	if t.joinedAt.IsZero() || now.Sub(t.changedAt) < t.cfg.Renew/calmDivisor || now.Before(t.handAt) {
		return
	}
	batch := max(1, len(t.shards)/batchDivisor)
	most, free := 2*batch, 0
	for i := range t.shards {
		if s := &t.shards[i]; !s.held {
			free++
		}
	}
	for i := range t.shards {
		s := &t.shards[i]
		if batch == 0 || free >= most {
			break
		}
		if s.phase != serving || !t.ours(s) || now.Before(s.keepUntil) {
			continue
		}
		if to := t.wanted()[i]; to == "" || to == t.cfg.Instance {
			continue
		}
		s.gave = true
		t.stop(s, i)
		batch--
		free++
		t.handAt = now.Add(t.cfg.Renew / paceDivisor)
	}
}

// returnReleased ends the keys of released shards, and drives the graceful stop.
func (t *Table) returnReleased(now time.Time) {
	for i := range t.shards {
		s := &t.shards[i]
		if t.quit && s.phase == serving {
			t.stop(s, i)
		}
		if s.phase == returning && s.op == 0 {
			// If a renewal was lost this may be refused; reap will try again.
			s.phase = dropping
			t.send(now, Action{Verb: Drop, Shard: i, Expect: s.own})
		}
	}
}
