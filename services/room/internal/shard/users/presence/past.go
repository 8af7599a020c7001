package presence

import (
	"time"

	"github.com/confab-chat/confab/proto/wire"
)

const (
	// MaxPast bounds the offline users kept in one shard: about 20 MB.
	MaxPast = 100_000

	// PastAge is how long an offline user is kept.
	PastAge = 24 * time.Hour
)

// past holds users who are offline, in the order in which they left: a ring of records whose
// sentinel is root; root.next left first.
type past struct {
	users map[string]*record
	root  *record
}

type record struct {
	user       wire.User
	seenMs     uint64
	since      time.Time // when the online period ended
	prev, next *record
}

func newPast() past {
	root := &record{}
	root.prev, root.next = root, root
	return past{users: make(map[string]*record), root: root}
}

// add adds u, who must not be in p, as last seen at seen.
func (p *past) add(now time.Time, u wire.User, seen time.Time) {
	p.expire(now)
	if len(p.users) >= MaxPast {
		p.remove(p.root.next.user.ID)
	}
	r := &record{user: u, seenMs: millis(seen), since: now, prev: p.root.prev, next: p.root}
	r.prev.next, r.next.prev = r, r
	p.users[u.ID] = r
}

// remove removes user, if present.
func (p *past) remove(user string) {
	if r := p.users[user]; r != nil {
		r.prev.next, r.next.prev = r.next, r.prev
		delete(p.users, user)
	}
}

// expire removes the users who have been offline for PastAge.
func (p *past) expire(now time.Time) {
	for r := p.root.next; r != p.root && now.Sub(r.since) >= PastAge; r = p.root.next {
		p.remove(r.user.ID)
	}
}

func (p *past) get(now time.Time, user string) wire.Presence {
	r := p.users[user]
	if r == nil || now.Sub(r.since) >= PastAge {
		return wire.Presence{User: wire.User{ID: user}, Status: StatusOffline}
	}
	return wire.Presence{User: r.user, Status: StatusOffline, LastSeenMs: r.seenMs}
}
