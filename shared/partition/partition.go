// Package partition shares the shards of a group among the live instances of a service.
// Each shard is leased to one instance, and the instances get equal shares. A service
// implements [Holder] to learn which shards to serve.
//
// A lease is a key of a JetStream key-value bucket in memory. It is acquired and renewed
// by compare-and-set and expires on the server one TTL after its last renewal, so that a
// crashed instance's shards move to another one after about a TTL. An instance that stops
// gracefully returns them in about 0.1 s. Instances announce themselves in the same
// bucket. A new one gets its fair share by hand-over, a few shards at a time; a leaving
// one causes no other moves.
//
// A lease is for efficiency: it decides which instance should do the work. Stored data
// needs its own protection against two holders (a compare-and-set on the data), because a
// suspended process may resume after its lease has ended. The epoch of a lease
// distinguishes newer from older leases.
//
// Nothing here fails because NATS is absent: Run waits for it. Without a renewal for a TTL
// the service must release its shards. All shards are claimed again when NATS returns, even
// if the bucket was lost.
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

// maxShards bounds the burst of renewals and the cost of the loop over all shards.
const maxShards = 1024

// Options are the settings of one instance. Conn, Group and Instance are required; other
// zero fields get their defaults.
type Options struct {
	Conn     *nats.Conn // may not be connected yet
	Group    string     // of instances that share shards: one token, such as "room"
	Instance string     // this instance, unique in the group: one token
	Shards   int        // the same for the whole group

	// TTL must be whole seconds, the server's unit. Renew must be at most TTL/2, so that
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

// Valid reports whether the lease holds at now: less than a TTL has passed since its last
// renewal was sent. In a process that was suspended past the end of its lease, it is false
// at once, so that the process does not answer from memory what another owner may have
// changed. It may be called concurrently.
func (l Lease) Valid(now time.Time) bool { return l.until == nil || l.until.reaches(now) }

// LeaseUntil returns a lease that holds until a given time, for tests of a Holder.
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
	// Acquire starts to serve a shard and returns soon. ctx ends with the lease: after
	// Release in a hand-over, before Release if the lease was lost. If Acquire returns an
	// error, it must have cleaned up: Release is not called, the lease is returned, and
	// another attempt follows later.
	Acquire(ctx context.Context, l Lease) error
	// Release stops serving the shard. It returns when the shard is no longer served;
	// then another instance may acquire it.
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

// Owner is the instance that holds a lease. The zero value means that there is none.
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

// Owner returns the owner of a shard as far as this instance knows, or the zero Owner. It
// lags by milliseconds, and does not change while NATS is absent. It may be called
// concurrently.
func (m *Member) Owner(shard int) Owner {
	owners := m.view.Load().owners
	if shard < 0 || shard >= len(owners) {
		return Owner{}
	}
	return owners[shard]
}

// Covered reports whether every shard has an owner, as far as this instance knows. It may
// be called concurrently.
func (m *Member) Covered() bool {
	owners := m.view.Load().owners
	return len(owners) > 0 && !slices.Contains(owners, Owner{})
}

// Live returns the announced instances of the group, sorted. Safe for concurrent use.
func (m *Member) Live() []string { return slices.Clone(m.view.Load().live) }
