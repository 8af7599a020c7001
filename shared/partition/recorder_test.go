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
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/shared/partition"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const shards = 64

// recorder records every call of every instance of a group, and fails the test at
// once when an epoch does not grow, calls of one instance do not alternate, or a
// shard is acquired while another instance's lease of it is valid.
type recorder struct {
	tb testing.TB

	mu       sync.Mutex // guards the rest
	epochs   map[int]uint64
	serving  map[int]map[string]partition.Lease
	acquired int
	overlaps int           // counts acquisitions of a shard that another instance had not released
	changed  chan struct{} // closed and replaced at every change
}

// virtual runs f in virtual time, with a server and a recorder of its own.
func virtual(t *testing.T, f func(t *testing.T, srv *natstest.Server, rec *recorder)) {
	t.Helper()
	natstest.VirtualTime(t, func(t *testing.T) { f(t, natstest.Start(t), newRecorder(t)) })
}

func newRecorder(tb testing.TB) *recorder {
	return &recorder{tb: tb, epochs: make(map[int]uint64), serving: make(map[int]map[string]partition.Lease), changed: make(chan struct{})}
}

func (rec *recorder) note() {
	close(rec.changed)
	rec.changed = make(chan struct{})
}

// wait returns when cond, which is called with the lock held, is true.
func (rec *recorder) wait(what string, cond func() bool) {
	rec.tb.Helper()
	timeout := time.NewTimer(eventually.Patience())
	defer timeout.Stop()
	for {
		rec.mu.Lock()
		ok, changed := cond(), rec.changed
		state := ""
		if !ok {
			state = fmt.Sprint(rec.counts())
		}
		rec.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			rec.tb.Fatalf("still waiting for %s; shards by instance: %v", what, state)
		}
	}
}

func (rec *recorder) counts() map[string]int {
	n := make(map[string]int)
	for _, by := range rec.serving {
		for name := range by {
			n[name]++
		}
	}
	return n
}

// waitShared returns when the shards are served by the named instances only, evenly.
func (rec *recorder) waitShared(names ...string) {
	rec.tb.Helper()
	rec.wait(fmt.Sprintf("%v to share", names), func() bool {
		n, total := rec.counts(), 0
		for _, name := range names {
			if n[name] < shards/len(names) || n[name] > (shards+len(names)-1)/len(names) {
				return false
			}
			total += n[name]
		}
		return total == shards && len(n) == len(names)
	})
}

func (rec *recorder) epochsNow() map[int]uint64 {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	out := make(map[int]uint64, len(rec.epochs))
	for s, e := range rec.epochs {
		out[s] = e
	}
	return out
}

// holder is the service of one instance.
type holder struct {
	*recorder
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

const (
	testTTL   = time.Second // the shortest that the server accepts
	testRenew = 300 * time.Millisecond
)

// options returns the options of most tests.
func options(nc *nats.Conn, name string) partition.Options {
	return partition.Options{
		Conn: nc, Group: "room", Instance: name, Shards: shards,
		TTL: testTTL, Renew: testRenew, Logger: slog.New(slog.DiscardHandler),
	}
}

// start runs an instance until the test ends or it is stopped.
func (rec *recorder) start(o partition.Options) *instance {
	rec.tb.Helper()
	h := &holder{recorder: rec, name: o.Instance}
	return rec.startHolder(o, h)
}

func (rec *recorder) startHolder(o partition.Options, h *holder) *instance {
	rec.tb.Helper()
	m, err := partition.New(o, h)
	if err != nil {
		rec.tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	i := &instance{Member: m, holder: h, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(i.done)
		i.err = m.Run(ctx)
	}()
	rec.tb.Cleanup(i.stop)
	return i
}

// stop stops gracefully and waits.
func (i *instance) stop() {
	i.cancel()
	<-i.done
}
