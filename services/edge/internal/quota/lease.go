package quota

import (
	"time"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/limit"
)

const (
	// maxLeases bounds the leases: 30 MB. Beyond it every permit of a user without a lease
	// is requested.
	maxLeases = 100_000 // as many as the local limiter has keys

	// sweepStep is how many leases are checked for expiry whenever one is added.
	sweepStep = 4
)

// leases holds the users whose limits this edge decides, and those it asks for. Guarded
// by Quota.mu.
type leases struct {
	users map[string]*lease
	table *limit.Table // what was granted under the leases
}

// lease is one user's lease. In the map it is held, or requested, or ended within the
// last window: then the next request reports what was granted under it.
type lease struct {
	id       uint64    // of the lease; 0 means none yet
	began    time.Time // when its log came
	kept     bool      // what was granted under it is in Quota.granted too
	until    time.Time // this edge decides until then
	used     time.Time
	recalled uint64 // leases up to this id are void, even if they arrive later
	asking   bool   // a request is in flight
	waiting  []take // for its answer; bounded by the open commands of the user's connections
}

func newLeases() leases {
	return leases{users: make(map[string]*lease), table: limit.NewTable(maxLeases * len(limit.Actions()))}
}

// add adds an entry for a user whose permit is about to be requested.
func (s *leases) add(user string, now time.Time) *lease {
	left := sweepStep
	for other, l := range s.users { // map order: a random few
		if left--; left < 0 {
			break
		}
		if l.expired(now) {
			s.drop(other)
		}
	}
	l := &lease{used: now}
	s.users[user] = l
	return l
}

// expired reports whether l is neither requested nor used, and what was granted under it
// no longer counts.
func (l *lease) expired(now time.Time) bool {
	return !l.asking && !now.Before(l.until) && now.Sub(l.used) >= limit.Window
}

func (s *leases) drop(user string) {
	delete(s.users, user)
	s.table.Forget(user)
}

// decideUnderLease decides t here. The caller holds q.mu.
func (q *Quota) decideUnderLease(l *lease, t take, now time.Time) Decision {
	q.leased.Add(1)
	l.used = now
	return q.decide(q.leases.table, t, t.limit, now)
}

// applyAnswer updates the lease from an answer and decides the calls that have waited. The
// caller holds q.mu; after unlocking it runs decided, and sends request for next if there
// is one.
func (q *Quota) applyAnswer(user string, taken *wire.Taken, err error, start, now time.Time) (decided []func(), next take, request *wire.Take) {
	l := q.leases.users[user]
	l.asking = false
	waiting := l.waiting
	l.waiting = nil
	q.keepGrants(l, user, now)
	l.start(taken, start, now)
	if now.Before(l.until) && len(q.leases.users) <= maxLeases {
		q.leases.table.Unpack(now, user, taken.Grants)
	} else {
		l.until = time.Time{}
		q.leases.drop(user)
	}
	for i, t := range waiting {
		var d Decision
		switch {
		case err != nil:
			d = q.decideLocally(t, now)
		case now.Before(l.until):
			d = q.decideUnderLease(l, t, now)
		default: // no lease: one request after the other
			asked, alone := q.route(t, now)
			if asked != nil {
				q.leases.users[user].waiting = waiting[i+1:]
				return decided, t, asked
			}
			d = *alone
		}
		decided = append(decided, func() { t.done(d) })
	}
	return decided, take{}, nil
}

// start starts the lease that an answer brings, unless it was recalled meanwhile.
func (l *lease) start(taken *wire.Taken, start, now time.Time) {
	l.until = time.Time{}
	if taken.Lease > l.recalled {
		l.id, l.until, l.used = taken.Lease, start.Add(time.Duration(taken.LeaseMs)*time.Millisecond), start
		l.began, l.kept = now, false
	}
}

// keepGrants notes in granted what was granted under a lease that has ended. The lease's
// log also has what other edges granted before it began. The caller holds q.mu.
func (q *Quota) keepGrants(l *lease, user string, now time.Time) {
	if l.id != 0 && !l.kept {
		l.kept = true
		q.granted.AddNewer(now, user, q.leases.table, now.Sub(l.began))
	}
}

// recall ends a user's leases up to an id, and returns what was granted under them.
func (q *Quota) recall(user string, id uint64) wire.Leased {
	now := q.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	out := wire.Leased{User: user}
	l := q.leases.users[user]
	if l == nil {
		return out
	}
	if l.id != 0 && l.id <= id {
		out.Lease, out.Grants = l.id, q.leases.table.Pack(now, user)
		q.keepGrants(l, user, now)
		q.leases.table.Forget(user)
		l.id, l.until = 0, time.Time{}
	}
	if l.recalled = max(l.recalled, id); !l.asking && l.id == 0 {
		delete(q.leases.users, user)
	}
	return out
}

// heldLeases returns the leases of a shard, or of all shards if shard is negative, with
// what was granted to other users, in portions that fit a message. A new owner gets
// everything that this edge granted. With release, an edge that stops returns its leases,
// and reports what no owner knows.
func (q *Quota) heldLeases(shard int, release bool) []wire.Leases {
	now := q.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	var all []wire.Leases
	last := make(map[int]int) // shard -> index in all of its last portion
	add := func(user string, lease uint64, grants []wire.Grants) {
		s := subject.Shard(user)
		i, ok := last[s]
		if !ok || len(all[i].Users) == maxLeasesPerMessage {
			i = len(all)
			last[s] = i
			all = append(all, wire.Leases{Edge: q.Edge, Shard: uint64(s)})
		}
		all[i].Users = append(all[i].Users, wire.Leased{User: user, Lease: lease, Grants: grants})
	}
	other := func(user string) bool { return shard >= 0 && subject.Shard(user) != shard }
	for user, l := range q.leases.users {
		if l.id == 0 || other(user) {
			continue
		}
		add(user, l.id, q.leases.table.Pack(now, user))
		if release {
			l.recalled = max(l.recalled, l.id)
			l.id, l.until = 0, time.Time{}
			q.leases.table.Forget(user)
		}
	}
	for user := range q.granted.Users() {
		if other(user) {
			continue
		}
		report := q.granted
		if l := q.leases.users[user]; release || l != nil && l.id != 0 { // the owner, or the lease's log, knows the rest
			report = q.unreported
		}
		if grants := report.Pack(now, user); len(grants) > 0 {
			add(user, 0, grants)
			q.unreported.Forget(user)
		}
	}
	return all
}

// maxLeasesPerMessage is how many leases go into one message: about 100 KB with the
// default limits, and below NATS's 1 MB with extreme ones.
const maxLeasesPerMessage = 20
