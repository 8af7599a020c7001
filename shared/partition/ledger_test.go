package partition_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/partition"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const shards = 64

// ledger books every call of every instance of a group, and fails the test at
// once when an epoch does not grow, calls of one instance do not alternate, or a
// shard is acquired while another instance's lease of it is valid.
type ledger struct {
	tb testing.TB

	mu       sync.Mutex // guards the rest
	epochs   map[int]uint64
	serving  map[int]map[string]partition.Lease
	acquired int
	overlaps int           // a shard was acquired before another instance had released it: it was late, or is held up
	changed  chan struct{} // closed and replaced at every change
}

func newLedger(tb testing.TB) *ledger {
	return &ledger{tb: tb, epochs: make(map[int]uint64), serving: make(map[int]map[string]partition.Lease), changed: make(chan struct{})}
}

func (l *ledger) note() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// wait returns when cond, which is called with the lock held, is true.
func (l *ledger) wait(what string, cond func() bool) {
	l.tb.Helper()
	timeout := time.NewTimer(eventually.Patience())
	defer timeout.Stop()
	for {
		l.mu.Lock()
		ok, changed := cond(), l.changed
		state := ""
		if !ok {
			state = fmt.Sprint(l.counts())
		}
		l.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			l.tb.Fatalf("waited in vain for %s; shards by instance: %v", what, state)
		}
	}
}

func (l *ledger) counts() map[string]int {
	n := make(map[string]int)
	for _, by := range l.serving {
		for name := range by {
			n[name]++
		}
	}
	return n
}

// waitShared returns when the shards are served by the named instances only, evenly.
func (l *ledger) waitShared(names ...string) {
	l.tb.Helper()
	l.wait(fmt.Sprintf("%v to share", names), func() bool {
		n, total := l.counts(), 0
		for _, name := range names {
			if n[name] < shards/len(names) || n[name] > (shards+len(names)-1)/len(names) {
				return false
			}
			total += n[name]
		}
		return total == shards && len(n) == len(names)
	})
}

func (l *ledger) epochsNow() map[int]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[int]uint64, len(l.epochs))
	for s, e := range l.epochs {
		out[s] = e
	}
	return out
}

// holder is the service of one instance.
type holder struct {
	*ledger
	name string
	err  func(partition.Lease) error // of Acquire; nil: none

	contexts sync.Map // shard -> context.Context
}

func (h *holder) Acquire(ctx context.Context, l partition.Lease) error {
	if h.err != nil {
		if err := h.err(l); err != nil {
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if l.Epoch <= h.epochs[l.Shard] {
		h.tb.Errorf("%s acquires shard %d with epoch %d after %d", h.name, l.Shard, l.Epoch, h.epochs[l.Shard])
	}
	h.epochs[l.Shard] = l.Epoch
	by := h.serving[l.Shard]
	if by == nil {
		by = make(map[string]partition.Lease)
		h.serving[l.Shard] = by
	}
	if _, twice := by[h.name]; twice {
		h.tb.Errorf("%s acquires shard %d twice", h.name, l.Shard)
	}
	for name, other := range by {
		h.overlaps++
		if other.Valid(time.Now()) {
			h.tb.Errorf("%s acquires shard %d, of which %s has a valid lease", h.name, l.Shard, name)
		}
	}
	by[h.name] = l
	h.acquired++
	h.contexts.Store(l.Shard, ctx)
	h.note()
	return nil
}

func (h *holder) Release(shard int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, serves := h.serving[shard][h.name]; !serves {
		h.tb.Errorf("%s releases shard %d, which it does not serve", h.name, shard)
	}
	delete(h.serving[shard], h.name)
	h.note()
}

// instance is a running Member.
type instance struct {
	*partition.Member
	holder *holder
	cancel context.CancelFunc
	done   chan struct{}
	err    error // of Run, after done
}

// options are those of most tests: the shortest TTL the server knows.
func options(nc *nats.Conn, name string) partition.Options {
	return partition.Options{
		Conn: nc, Group: "room", Instance: name, Shards: shards,
		TTL: time.Second, Renew: 300 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	}
}

// start runs an instance until the test ends or it is stopped.
func (l *ledger) start(o partition.Options) *instance {
	l.tb.Helper()
	h := &holder{ledger: l, name: o.Instance}
	return l.startHolder(o, h)
}

func (l *ledger) startHolder(o partition.Options, h *holder) *instance {
	l.tb.Helper()
	m, err := partition.New(o, h)
	if err != nil {
		l.tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	i := &instance{Member: m, holder: h, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(i.done)
		i.err = m.Run(ctx)
	}()
	l.tb.Cleanup(i.stop)
	return i
}

// stop stops gracefully and waits.
func (i *instance) stop() {
	i.cancel()
	<-i.done
}
