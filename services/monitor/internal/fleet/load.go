package fleet

import (
	"math"
	"slices"
	"time"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
)

// load is the load of all listed instances that are not dead; silent ones count with their
// last report. A nil field was reported by none of them.
type load struct {
	connections          *int // edges
	users, rooms, typing *int // room instances
}

// load returns the load of the instances in list.
func (f *Fleet) load(now time.Time, list []*instance) load {
	var sum load
	list = f.withoutDead(now, list)
	for _, in := range list {
		if e := in.current.beat.Edge; e != nil {
			add(&sum.connections, e.Connections, 1)
		}
	}
	for in, share := range f.shards(now, list, wire.ServiceRoom).share {
		r := in.current.beat.Room
		add(&sum.users, r.Users, share)
		add(&sum.rooms, r.Rooms, share)
		add(&sum.typing, r.Typing, share)
	}
	return sum
}

// withoutDead returns the instances of list that are not dead.
func (f *Fleet) withoutDead(now time.Time, list []*instance) []*instance {
	return slices.DeleteFunc(slices.Clone(list), func(in *instance) bool { return f.dead(now, in) })
}

func add(sum **int, n int, share float64) {
	if *sum == nil {
		*sum = new(int)
	}
	**sum += int(math.Round(float64(n) * share))
}

// stores reports whether messages can be stored in some shard. It is false if live owners
// report that their logs do not store, or if no shard has had an owner for a while.
func (f *Fleet) stores(now time.Time, list []*instance) bool {
	owned, failing := 0, 0
	for _, in := range list {
		if r := in.current.beat.Room; r != nil && !in.status(now).Silent() {
			owned, failing = owned+len(r.Shards), failing+r.Failing
		}
	}
	if owned == 0 {
		since, orphans := f.orphans[wire.ServiceRoom]
		return !orphans || now.Sub(since) <= MissingAfter
	}
	return failing < owned
}

// sharded are the services whose instances own shards.
var sharded = [...]string{wire.ServiceRoom, wire.ServiceRateLimit}

// watchShards records since when a service has had shards without a live owner. During
// a hand-over that is normal for a moment, because the two owners report at different
// times.
func (f *Fleet) watchShards(now time.Time) {
	list := f.list(now)
	for _, service := range sharded {
		if f.shards(now, list, service).owned == subject.Shards {
			delete(f.orphans, service)
		} else if _, known := f.orphans[service]; !known {
			f.orphans[service] = now
		}
	}
}

// shards says which instances own the shards of one service.
type shards struct {
	// share is the part of an instance's reported load that still counts, from 0 to 1.
	// Shards that another instance has taken over from a silent one count there only.
	share map[*instance]float64
	owned int // number of shards owned by an instance that is not silent
	owner [subject.Shards]*instance
}

// shards assigns each shard to one of the instances that claim it. Instances that report
// come before silent ones; among those the latest report wins.
func (f *Fleet) shards(now time.Time, list []*instance, service string) shards {
	result := shards{share: make(map[*instance]float64)}
	owner := &result.owner
	for _, in := range list {
		claims, reports := in.claims()
		if in.service != service || !reports {
			continue
		}
		result.share[in] = 1
		for _, s := range claims {
			if s >= 0 && s < len(owner) && (owner[s] == nil || in.outranks(now, owner[s])) {
				owner[s] = in
			}
		}
	}
	won := make(map[*instance]int, len(result.share))
	for _, in := range owner {
		if in == nil {
			continue
		}
		won[in]++
		if !in.status(now).Silent() {
			result.owned++
		}
	}
	for in := range result.share {
		if claims, _ := in.claims(); len(claims) > 0 {
			result.share[in] = float64(won[in]) / float64(len(claims))
		}
	}
	return result
}

// claims returns the shards that the instance says it owns; false if it reports none.
func (in *instance) claims() ([]int, bool) {
	switch b := in.current.beat; {
	case b.Room != nil:
		return b.Room.Shards, true
	case b.Limit != nil:
		return b.Limit.Shards, true
	}
	return nil, false
}

// outranks reports whether the claim of in wins over that of other.
func (in *instance) outranks(now time.Time, other *instance) bool {
	if a, b := in.status(now).Silent(), other.status(now).Silent(); a != b {
		return b
	}
	return in.current.lastSeen.After(other.current.lastSeen)
}
