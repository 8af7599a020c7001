// Package assign decides which live instance should own which shard.
//
// The choice is rendezvous hashing under quotas, made sticky: a shard stays
// where it is unless its holder is gone or holds more than its quota. It is a pure
// function of the live instances and the current holders, which every instance reads in
// the same order. So all instances compute the same plan without communicating, and
// carrying out a part of the plan does not change the rest of it.
package assign

import (
	"cmp"
	"slices"
)

// Owners returns, for every shard, the instance that should own it; "" for all of them if
// live is empty. held[s] is the current holder of shard s, or ""; a holder that is not in
// live counts as none. The order of live does not matter; its names must be distinct.
//
// Quotas differ by at most one shard, and no assignment with such quotas moves
// fewer shards away from live holders. Highest random weight: Thaler and
// Ravishankar, "Using name-based mappings to increase hit rates", 1998.
func Owners(live, held []string) []string {
	owners := make([]string, len(held))
	if len(live) == 0 {
		return owners
	}
	p := newPlan(live, held)
	copy(owners, held)
	for _, s := range p.movable(held) {
		owners[s] = ""
	}
	p.place(owners)
	return owners
}

// plan is the bookkeeping of one call of Owners.
type plan struct {
	live  []string       // sorted
	index map[string]int // position in live
	room  []int          // by position: number of shards it may still get; negative if it must lose some
}

func newPlan(live, held []string) *plan {
	p := &plan{live: slices.Sorted(slices.Values(live)), index: make(map[string]int, len(live)), room: make([]int, len(live))}
	for i, name := range p.live {
		p.index[name] = i
	}
	count := make([]int, len(p.live))
	for _, h := range held {
		if i, ok := p.index[h]; ok {
			count[i]++
		}
	}
	floor, extra := len(held)/len(p.live), len(held)%len(p.live)
	// The remainder goes to instances that hold more already, to avoid moves.
	order := make([]int, len(p.live))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if above := count[a] > floor; above != (count[b] > floor) {
			if above {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(weight(p.live[b], -1), weight(p.live[a], -1)), cmp.Compare(a, b))
	})
	for rank, i := range order {
		p.room[i] = floor - count[i]
		if rank < extra {
			p.room[i]++
		}
	}
	return p
}

// movable returns the shards without a live holder and, of every holder above its quota,
// the surplus shards with the lowest weight. Afterwards no entry of room is negative.
func (p *plan) movable(held []string) []int {
	var out []int
	mine := make([][]int, len(p.live))
	for s, h := range held {
		if i, ok := p.index[h]; ok {
			mine[i] = append(mine[i], s)
		} else {
			out = append(out, s)
		}
	}
	for i, surplus := range p.room {
		if surplus >= 0 {
			continue
		}
		name := p.live[i]
		slices.SortFunc(mine[i], func(a, b int) int {
			return cmp.Or(cmp.Compare(weight(name, a), weight(name, b)), cmp.Compare(a, b))
		})
		out = append(out, mine[i][:-surplus]...)
		p.room[i] = 0
	}
	return out
}

// place assigns every shard without an owner to the instance with the highest weight for
// it among those with room, the heaviest pairs first.
func (p *plan) place(owners []string) {
	type pair struct {
		weight          uint64
		shard, instance int
	}
	var pairs []pair
	for s, o := range owners {
		if o != "" {
			continue
		}
		for i, room := range p.room {
			if room > 0 {
				pairs = append(pairs, pair{weight(p.live[i], s), s, i})
			}
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.shard, b.shard), cmp.Compare(a.instance, b.instance))
	})
	for _, c := range pairs {
		if owners[c.shard] == "" && p.room[c.instance] > 0 {
			owners[c.shard] = p.live[c.instance]
			p.room[c.instance]--
		}
	}
}

// weight is FNV-1a over name and shard with the finaliser of SplitMix64: FNV
// alone leaves the high bits of short names alike. It must never change: two
// versions of a service run side by side and have to agree.
func weight(name string, shard int) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	for shift := 0; shift < 32; shift += 8 {
		h = (h ^ uint64(uint32(shard)>>shift&0xff)) * 1099511628211
	}
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
