package lease_test

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/shared/partition/internal/lease"
)

// sim runs several tables against a model of the bucket in virtual time:
// compare-and-set, expiry with late markers, watches that lag, answers that
// get lost, servers that forget.
type sim struct {
	tb     rapid.TB
	rnd    *rand.Rand
	now    time.Time
	events events
	order  int

	cfg     lease.Config
	seq     uint64
	wiped   bool // the bucket was lost: two may believe in a lease for a TTL
	keys    map[string]*key
	nodes   []*node
	granted map[int]uint64 // by shard: last epoch
	refuse  string         // the instance whose Acquire fails
}

type key struct {
	rev     uint64
	holder  lease.Holder
	value   bool // else the marker of an end
	expires time.Time
}

// node is one instance: its table, its connection and its calls.
type node struct {
	sim       *sim
	name      string
	table     *lease.Table
	alive, up bool
	link      int // changes whenever the connection or the watch ends: what is under way is lost
	watching  bool
	pipe      time.Time // messages of a connection stay in order
	back      time.Time
	wake      time.Time
	moves     int // Start and Stop calls
	loseAcks  float64
	slow      time.Duration // to begin a new watch
	lag       time.Duration // of everything that comes from the server
}

type event struct {
	at    time.Time
	order int
	run   func()
}
type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

func newSim(tb rapid.TB, shards int, seed uint64) *sim {
	return &sim{
		tb: tb, rnd: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_000_000, 0), seq: 1000,
		cfg:  lease.Config{Shards: shards, TTL: 3 * time.Second, Renew: time.Second, MarkerTTL: time.Minute},
		keys: make(map[string]*key), granted: make(map[int]uint64),
	}
}

func (s *sim) at(t time.Time, run func()) {
	s.order++
	heap.Push(&s.events, event{t, s.order, run})
}

func (s *sim) after(d time.Duration, run func()) { s.at(s.now.Add(d), run) }

// run lets d pass.
func (s *sim) run(d time.Duration) {
	end := s.now.Add(d)
	for len(s.events) > 0 && !s.events[0].at.After(end) {
		e := heap.Pop(&s.events).(event)
		s.now = e.at
		e.run()
		s.checkOneHolder()
	}
	s.now = end
}

func (s *sim) jitter(most time.Duration) time.Duration {
	return time.Duration(s.rnd.Int64N(int64(most)))
}

// checkOneHolder is the safety property: no two valid leases of one shard.
func (s *sim) checkOneHolder() {
	if s.wiped {
		return
	}
	for shard := range s.cfg.Shards {
		holder := ""
		for _, n := range s.nodes {
			if _, ok := n.table.Epoch(shard); !ok || !n.alive {
				continue
			}
			if n.stalled() {
				continue
			}
			if holder != "" {
				s.tb.Fatalf("%v: shard %d is leased to %s and %s", s.now, shard, holder, n.name)
			}
			holder = n.name
		}
	}
}

// stalled says that the node has not been run since its next deadline, which happens only at equal times.
func (n *node) stalled() bool { return !n.wake.After(n.sim.now) }

// put stores a record and shows it to the watches.
func (s *sim) put(name string, k key) {
	s.seq++
	k.rev = s.seq
	s.keys[name] = &k
	for _, n := range s.nodes {
		if n.alive && n.up && n.watching {
			n.show(name, k)
		}
	}
	if k.expires.IsZero() {
		return
	}
	rev := k.rev
	s.at(k.expires.Add(s.jitter(250*time.Millisecond)), func() {
		now, ok := s.keys[name]
		switch {
		case !ok || now.rev != rev:
		case now.value:
			s.put(name, key{expires: s.now.Add(s.cfg.MarkerTTL)})
		default:
			delete(s.keys, name)
		}
	})
}

// show delivers a record to the node's table, later and in order.
func (n *node) show(name string, k key) {
	n.deliver(func() {
		var shard int
		if _, err := fmt.Sscanf(name, "shard.%d", &shard); err == nil {
			if k.value {
				n.table.LeaseSeen(n.sim.now, shard, k.rev, k.holder)
			} else {
				n.table.LeaseGone(n.sim.now, shard, k.rev)
			}
			return
		}
		if k.value {
			n.table.MemberSeen(n.sim.now, name, k.rev)
		} else {
			n.table.MemberGone(n.sim.now, name, k.rev)
		}
	})
}

// deliver runs f at the node after the network, unless the link breaks before.
func (n *node) deliver(f func()) {
	link := n.link
	at := n.sim.now.Add(n.lag + n.sim.jitter(10*time.Millisecond))
	if at.Before(n.back) {
		at = n.back
	}
	n.back = at
	n.sim.at(at, func() {
		if !n.alive || n.link != link {
			return
		}
		f()
		if n.sim.rnd.IntN(3) > 0 {
			n.step()
			return
		}
		n.sim.after(n.sim.jitter(3*time.Millisecond), n.step) // several events may come before a step
	})
}

// request runs f at the server after the network. Unlike answers it may
// arrive although the connection broke meanwhile.
func (n *node) request(f func()) {
	at := n.sim.now.Add(n.sim.jitter(10 * time.Millisecond))
	if at.Before(n.pipe) {
		at = n.pipe
	}
	n.pipe = at
	n.sim.at(at, f)
}

// step runs the table and does what it says.
func (n *node) step() {
	if !n.alive {
		return
	}
	s := n.sim
	for _, a := range n.table.Step(s.now) {
		n.do(a)
	}
	if n.table.Done() {
		n.alive = false
		return
	}
	n.wake = n.table.Next(s.now)
	if !n.wake.After(s.now) {
		n.wake = s.now.Add(time.Millisecond)
	}
	wake := n.wake
	s.at(wake, func() {
		if n.alive && n.wake.Equal(wake) {
			n.step()
		}
	})
}

func (n *node) do(a lease.Action) {
	s := n.sim
	lk := fmt.Sprintf("shard.%d", a.Shard)
	switch a.Verb {
	case lease.Announce:
		n.publish(a, func() bool { s.put(n.name, key{value: true, expires: s.now.Add(s.cfg.TTL)}); return true })
	case lease.Withdraw:
		n.publish(a, func() bool { s.put(n.name, key{expires: s.now.Add(s.cfg.MarkerTTL)}); return true })
	case lease.Claim, lease.Renew:
		h := lease.Holder{Instance: n.name, Generation: n.name + "'", Epoch: a.Epoch}
		n.publish(a, func() bool {
			return s.cas(lk, a.Expect, key{value: true, holder: h, expires: s.now.Add(s.cfg.TTL)})
		})
	case lease.Drop:
		n.publish(a, func() bool { return s.cas(lk, a.Expect, key{expires: s.now.Add(s.cfg.MarkerTTL)}) })
	case lease.Start:
		n.start(a)
	case lease.Stop:
		n.moves++
		s.after(s.jitter(30*time.Millisecond), func() { n.table.Stopped(a.Shard); n.step() })
	case lease.Rewatch:
		n.rewatch()
	}
}

func (n *node) start(a lease.Action) {
	s := n.sim
	n.moves++
	if !s.wiped && a.Epoch <= s.granted[a.Shard] {
		s.tb.Fatalf("shard %d: epoch %d after %d", a.Shard, a.Epoch, s.granted[a.Shard])
	}
	s.granted[a.Shard] = max(a.Epoch, s.granted[a.Shard])
	var err error
	if s.refuse == n.name {
		err = errors.New("cannot serve")
	}
	s.after(s.jitter(30*time.Millisecond), func() { n.table.Started(s.now, a.Shard, err); n.step() })
}

func (s *sim) cas(name string, expect uint64, k key) bool {
	var rev uint64
	if now, ok := s.keys[name]; ok {
		rev = now.rev
	}
	if rev != expect {
		return false
	}
	s.put(name, k)
	return true
}

func (n *node) publish(a lease.Action, apply func() bool) {
	s := n.sim
	if !n.up {
		n.table.Failed(s.now, a.Shard, a.Op)
		return
	}
	n.request(func() {
		ok := apply()
		rev := s.seq
		if !n.up || s.rnd.Float64() < n.loseAcks || a.Op == 0 {
			return
		}
		n.deliver(func() {
			if ok {
				n.table.Acked(s.now, a.Shard, a.Op, rev)
			} else {
				n.table.Refused(s.now, a.Shard, a.Op)
			}
		})
	})
}

// rewatch begins a new watch after a while.
func (n *node) rewatch() {
	s := n.sim
	n.link++
	n.watching = false
	n.table.Blind()
	link := n.link
	s.after(20*time.Millisecond+n.slow+s.jitter(40*time.Millisecond), func() {
		if !n.alive || !n.up || n.link != link {
			return
		}
		if floor, rewound := n.table.Floor(); rewound || len(s.keys) == 0 && s.wiped {
			s.keys = make(map[string]*key) // a purge: the other watches do not see it
			s.seq = max(s.seq, floor+uint64(time.Minute/time.Microsecond))
		}
		n.table.Reset()
		n.watching = true
		for name, k := range s.keys {
			n.show(name, *k)
		}
		n.deliver(func() { n.table.SyncDone(s.now) })
	})
}

// join starts an instance.
func (s *sim) join() *node {
	n := &node{sim: s, name: fmt.Sprintf("node-%d", len(s.nodes)), alive: true, up: true}
	cfg := s.cfg
	cfg.Instance, cfg.Generation = n.name, n.name+"'"
	n.table = lease.New(cfg)
	s.nodes = append(s.nodes, n)
	n.rewatch()
	return n
}

func (n *node) crash()      { n.alive = false }
func (n *node) quit()       { n.table.Quit(); n.step() }
func (n *node) disconnect() { n.up = false; n.link++; n.watching = false; n.table.Blind(); n.step() }
func (n *node) reconnect() {
	if n.alive && !n.up {
		n.up = true
		n.rewatch()
	}
}

// wipe loses every key, and what the revisions were.
func (s *sim) wipe() {
	s.wiped = true
	s.keys = make(map[string]*key)
	s.seq = uint64(s.rnd.IntN(500))
	for _, n := range s.nodes {
		if n.alive && n.up {
			n.rewatch()
		}
	}
}

// alive returns the instances that run.
func (s *sim) aliveNodes() []*node {
	var out []*node
	for _, n := range s.nodes {
		if n.alive {
			out = append(out, n)
		}
	}
	return out
}

// settled says what is wrong if not every shard is served by one live instance, evenly; "" if nothing is.
func (s *sim) settled() string {
	count := make(map[string]int)
	for shard := range s.cfg.Shards {
		var by []string
		for _, n := range s.aliveNodes() {
			if n.table.Serving(shard) {
				by = append(by, n.name)
				count[n.name]++
			}
		}
		if len(by) != 1 {
			return fmt.Sprintf("shard %d is served by %v", shard, by)
		}
	}
	for _, n := range s.aliveNodes() {
		if c, floor := count[n.name], s.cfg.Shards/len(s.aliveNodes()); c != floor && c != floor+1 {
			return fmt.Sprintf("uneven: %v", count)
		}
	}
	return ""
}

// waitSettled lets time pass until everything is served evenly, at most d, and returns how long it took.
func (s *sim) waitSettled(d time.Duration) time.Duration {
	s.tb.Helper()
	begin := s.now
	for s.settled() != "" {
		if s.now.Sub(begin) > d {
			s.tb.Fatalf("not settled after %v: %s", d, s.settled())
		}
		s.run(10 * time.Millisecond)
	}
	return s.now.Sub(begin)
}
