package quota

import (
	"time"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/limit"
)

const (
	// maxLeases bounds the users whose limits are leased: 30 MB. Beyond it every
	// permit of whoever has none is asked for.
	maxLeases = 100_000 // as many as the local limiter has keys

	// sweepStep is how many leases each new one pays to look at.
	sweepStep = 4
)

// leases are the users whose limits this edge decides, and those it asks for.
type leases struct {
	users map[string]*lease
	table *limit.Table // what was granted under the leases
}

// lease is one user's. In the map it is leased, or asking, or was leased within
// the last window: then the next request says what was granted.
type lease struct {
	id       uint64    // of the lease; 0: none yet
	until    time.Time // this edge decides before it
	used     time.Time
	recalled uint64 // up to this number leases are void, also if they are still to come
	asking   bool   // a request is under way
	waiting  []take // for its answer; as many as the user's connections have commands open
}

func newLeases() leases {
	return leases{users: make(map[string]*lease), table: limit.NewTable(maxLeases * len(limit.Actions()))}
}

// add makes the lease of a user who is about to be asked for.
func (s *leases) add(user string, now time.Time) *lease {
	left := sweepStep
	for other, l := range s.users { // in no order: a few at random
		if left--; left < 0 {
			break
		}
		if l.over(now) {
			s.drop(other)
		}
	}
	l := &lease{used: now}
	s.users[user] = l
	return l
}

// over tells that l is neither asked for nor used: what was granted under it does
// not count any more.
func (l *lease) over(now time.Time) bool {
	return !l.asking && !now.Before(l.until) && now.Sub(l.used) >= limit.Window
}

func (s *leases) drop(user string) {
	delete(s.users, user)
	s.table.Forget(user)
}

// underLease decides t here. Holds q.mu.
func (q *Quota) underLease(l *lease, t take, now time.Time) Decision {
	q.leased.Add(1)
	l.used = now
	return q.decide(q.leases.table, t, t.limit, now)
}

// settle takes what an answer says of the lease, and decides what has waited: the
// returned functions tell, without q.mu, and next is to be asked with request, if
// there is one. Holds q.mu.
func (q *Quota) settle(user string, taken *wire.Taken, err error, start, now time.Time) (decided []func(), next take, request *wire.Take) {
	l := q.leases.users[user]
	l.asking = false
	waiting := l.waiting
	l.waiting = nil
	l.grant(taken, start)
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
			d = q.alone(t, now)
		case now.Before(l.until):
			d = q.underLease(l, t, now)
		default: // no lease: one after the other
			asked, alone := q.place(t, now)
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

// grant begins the lease that an answer brings, unless it was recalled meanwhile.
func (l *lease) grant(taken *wire.Taken, start time.Time) {
	l.until = time.Time{}
	if taken.Lease > l.recalled {
		l.id, l.until, l.used = taken.Lease, start.Add(time.Duration(taken.LeaseMs)*time.Millisecond), start
	}
}

// recall ends the lease of a user, up to a number, and returns what was granted.
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
		q.leases.table.Forget(user)
		l.id, l.until = 0, time.Time{}
	}
	if l.recalled = max(l.recalled, id); !l.asking && l.id == 0 {
		delete(q.leases.users, user)
	}
	return out
}

// held are the leases of a shard, or of all with shard < 0, in portions that fit
// a message, by shard. With giveBack they end.
func (q *Quota) held(shard int, giveBack bool) []wire.Leases {
	now := q.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	var all []wire.Leases
	last := make(map[int]int) // shard -> its unfinished portion in all
	for user, l := range q.leases.users {
		s := subject.Shard(user)
		if l.id == 0 || shard >= 0 && s != shard {
			continue
		}
		i, ok := last[s]
		if !ok || len(all[i].Users) == leasesAtOnce {
			i = len(all)
			last[s] = i
			all = append(all, wire.Leases{Edge: q.Edge, Shard: uint64(s)})
		}
		all[i].Users = append(all[i].Users, wire.Leased{User: user, Lease: l.id, Grants: q.leases.table.Pack(now, user)})
		if giveBack {
			l.recalled = max(l.recalled, l.id)
			l.id, l.until = 0, time.Time{}
			q.leases.table.Forget(user)
		}
	}
	return all
}

// leasesAtOnce is how many go into one message: with the limits of the contract
// about 100 KB, with absurd ones below NATS's 1 MB.
const leasesAtOnce = 20
