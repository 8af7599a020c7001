// Package partition shares the shards of a group among the live instances of a
// service: each shard is leased to one of them, evenly, and a service serves
// the shards it is told to acquire.
//
// A lease is a key of a JetStream key-value bucket in memory. It is taken and
// renewed by compare-and-set and expires on the server one TTL after its last
// renewal, so that a crashed instance's shards are somewhere else after about
// a TTL; one that stops gracefully gives them back in about 0.1 s. Instances
// announce themselves in the same bucket. A new one gets its fair share by
// hand-over, a few shards at a time; a leaving one causes no other moves.
//
// A lease is for efficiency: it says who should do the work. Whoever stores
// something must be safe against two holders (a compare-and-set on what is
// stored), because an instance may sleep past the end of its lease without
// knowing. The epoch of a lease tells newer from older.
//
// Nothing here fails because NATS is absent: it is waited for. Without a
// renewal for a TTL the service is told to release, and everything is claimed
// again when NATS is back, also when the bucket and its memory are gone.
package partition

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/shared/partition/internal/bucket"
)

// Defaults of Options.
const (
	DefaultShards = 64
	DefaultTTL    = 3 * time.Second
	DefaultRenew  = time.Second
)

// maxShards bounds the burst of a renewal, and the loop over all shards at each event.
const maxShards = 1024

// Options are the settings of one instance. Conn, Group and Instance are
// required; what is zero gets its default.
type Options struct {
	Conn     *nats.Conn // may not be connected yet
	Group    string     // of instances that share shards: one token, such as "room"
	Instance string     // this instance, unique in the group: one token
	Shards   int        // the same for the whole group

	// TTL is whole seconds, as the server counts them. Renew is TTL/2 at most:
	// one renewal may be lost.
	TTL, Renew time.Duration

	Replicas int // of the bucket if it has to be created; default 1
	Logger   *slog.Logger
}

// Lease is the right to serve a shard until the context given to Acquire ends.
type Lease struct {
	Shard int
	// Epoch is the revision of the acquisition in the bucket. It grows with every
	// lease of the shard, also over a loss of the bucket, and is below 2^53.
	Epoch uint64

	until *horizon // nil: not known, as in tests
}

// Valid tells whether the lease holds at now: a TTL has not passed since its last
// renewal was sent. It is false in a process that has slept past the end of its
// lease before anybody there has noticed, so that nothing that others have changed
// meanwhile is answered from memory. Safe for concurrent use.
func (l Lease) Valid(now time.Time) bool { return l.until == nil || l.until.reaches(now) }

// LeaseUntil is a lease that holds until a time, for tests of a Holder.
func LeaseUntil(shard int, epoch uint64, until time.Time) Lease {
	h := &horizon{start: time.Now()}
	h.set(until)
	return Lease{Shard: shard, Epoch: epoch, until: h}
}

// horizon is the time up to which a shard's lease is known to hold.
type horizon struct {
	start time.Time    // static: monotonic
	until atomic.Int64 // since start
}

func (h *horizon) set(t time.Time)            { h.until.Store(int64(t.Sub(h.start))) }
func (h *horizon) reaches(now time.Time) bool { return int64(now.Sub(h.start)) < h.until.Load() }

// Holder is implemented by the service. Calls for one shard alternate and do
// not overlap; calls for different shards may be concurrent.
type Holder interface {
	// Acquire begins to serve a shard and returns soon. ctx ends when the lease
	// does: after Release in a hand-over, before it when the lease was lost.
	// After an error, which must leave nothing behind, Release is not called,
	// the lease is given back, and another attempt is made later.
	Acquire(ctx context.Context, l Lease) error
	// Release stops serving the shard. It returns when nothing is served any
	// more: then another instance is let in.
	Release(shard int)
}

// Member is an instance's membership in a group.
type Member struct {
	// Static.
	o Options
	h Holder

	ran  atomic.Bool
	view atomic.Pointer[view] // written by Run
}

// view is a published state of the table; never modified.
type view struct {
	held   []Lease
	owners []Owner
	live   []string
}

// Owner is who holds a lease. The zero value is nobody.
type Owner struct {
	Instance string
	Epoch    uint64
}

// New checks the options; the errors are ErrOptions. Nothing happens until Run.
func New(o Options, h Holder) (*Member, error) {
	if o.Shards == 0 {
		o.Shards = DefaultShards
	}
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	if o.Renew == 0 {
		o.Renew = min(DefaultRenew, o.TTL/3)
	}
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.Conn == nil || h == nil:
		return nil, fmt.Errorf("%w: no connection or no holder", ErrOptions)
	case !bucket.Token(o.Group):
		return nil, fmt.Errorf("%w: group %q is not a token", ErrOptions, o.Group)
	case !bucket.Token(o.Instance):
		return nil, fmt.Errorf("%w: instance %q is not a token", ErrOptions, o.Instance)
	case o.Shards < 1 || o.Shards > maxShards:
		return nil, fmt.Errorf("%w: %d shards, not 1 to %d", ErrOptions, o.Shards, maxShards)
	case o.TTL < time.Second || o.TTL%time.Second != 0:
		return nil, fmt.Errorf("%w: TTL %v is not whole seconds", ErrOptions, o.TTL)
	case o.Renew <= 0 || o.Renew > o.TTL/2:
		return nil, fmt.Errorf("%w: renewing each %v with TTL %v", ErrOptions, o.Renew, o.TTL)
	}
	m := &Member{o: o, h: h}
	m.view.Store(&view{owners: make([]Owner, o.Shards)})
	return m, nil
}

// Held returns the leases that are served now, by shard. Safe for concurrent use.
func (m *Member) Held() []Lease { return slices.Clone(m.view.Load().held) }

// Owner returns who holds a shard, as far as this instance knows: the zero
// Owner if nobody does. It lags by milliseconds, and stays as it was while NATS
// is away. Safe for concurrent use.
func (m *Member) Owner(shard int) Owner {
	owners := m.view.Load().owners
	if shard < 0 || shard >= len(owners) {
		return Owner{}
	}
	return owners[shard]
}

// Covered tells whether every shard has an owner, as far as this instance knows.
// Safe for concurrent use.
func (m *Member) Covered() bool {
	owners := m.view.Load().owners
	return len(owners) > 0 && !slices.Contains(owners, Owner{})
}

// Live returns the announced instances of the group, sorted. Safe for concurrent use.
func (m *Member) Live() []string { return slices.Clone(m.view.Load().live) }
