package partition

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/confab-chat/confab/shared/mailbox"
	"github.com/confab-chat/confab/shared/partition/internal/bucket"
	"github.com/confab-chat/confab/shared/partition/internal/lease"
)

// flushTimeout bounds the final flush of a stopping instance.
const flushTimeout = 500 * time.Millisecond

// run is the state of one Run. Everything but the channels is owned by the loop.
type run struct {
	// Static.
	m     *Member
	o     Options
	h     Holder
	log   *slog.Logger
	keys  bucket.Keys
	self  bucket.Record
	inbox string // prefix of the answers' subjects

	table    *lease.Table
	version  uint64               // of the table, when last published
	contexts []context.CancelFunc // by shard: ends the context of its lease
	horizons []*horizon           // by shard; read by the Holder
	base     context.Context      // of the leases: outlives the graceful stop's begin

	messages <-chan *nats.Msg // of the present watch; nil: none
	pending  uint64           // present keys still to be shown
	listed   bool             // the present watch has shown them
	lastSeen uint64           // delivery number of its last message

	err error // why NATS was lost for good

	answers chan *nats.Msg
	out     chan outgoing    // to the sender
	mailbox *mailbox.Mailbox // bounded: one call for each shard, what out holds, and a watch's begin and end
	again   chan bool
	floor   atomic.Uint64 // for the keeper

	calling sync.WaitGroup
}

// outgoing is a publication queued for the sender.
type outgoing struct {
	action lease.Action
	msg    *nats.Msg
}

// Run takes part in the group until ctx ends, then returns all leases, and returns nil
// when the last Release has returned. It returns an error if the connection is closed
// earlier, or if it has been called before. When it stops, it waits at most Renew for
// answers from NATS; if the connection blocks a publication, it waits until the connection
// accepts it or is closed.
func (m *Member) Run(ctx context.Context) error {
	if m.ran.Swap(true) {
		return ErrRan
	}
	js, err := jetstream.New(m.o.Conn)
	if err != nil {
		return fmt.Errorf("partition: %w", err)
	}
	r := newRun(m, context.WithoutCancel(ctx))
	answers, err := m.o.Conn.ChanSubscribe(r.inbox+".>", r.answers)
	if err != nil {
		return fmt.Errorf("partition: subscribe to answers: %w", err)
	}
	defer func() { _ = answers.Unsubscribe() }()

	k := &keeper{
		conn: m.o.Conn, js: js, replicas: m.o.Replicas, filter: r.keys.All(), log: r.log,
		report: func(e watchEvent) { r.mailbox.Post(func() { r.opened(e) }) }, again: r.again, floor: &r.floor, fresh: true,
	}
	work, stop := context.WithCancel(r.base)
	var helpers sync.WaitGroup
	helpers.Go(func() { k.run(work) })
	helpers.Go(r.send)
	err = r.loop(ctx)
	close(r.out)
	stop()
	helpers.Wait()
	r.calling.Wait()
	return err
}

func newRun(m *Member, base context.Context) *run {
	generation := nuid.Next()
	o := m.o
	r := &run{
		m: m, o: o, h: m.h, base: base,
		log:      o.Logger.With("group", o.Group),
		keys:     bucket.NewKeys(o.Group),
		self:     bucket.Record{Instance: o.Instance, Generation: generation},
		inbox:    o.Conn.NewInbox(),
		contexts: make([]context.CancelFunc, o.Shards),
		horizons: make([]*horizon, o.Shards),
		// A shard has one publication in flight; after a stall, late answers to abandoned
		// ones come on top. Answers that overflow count as lost.
		answers: make(chan *nats.Msg, 32*o.Shards),
		// One per shard, and the announcements. If it is full, the connection is blocked,
		// and a publication fails at once.
		out:     make(chan outgoing, 2*o.Shards+8),
		mailbox: mailbox.New(),
		again:   make(chan bool, 1),
	}
	now := time.Now()
	for shard := range r.horizons {
		r.horizons[shard] = &horizon{start: now}
	}
	r.table = lease.New(lease.Config{
		Shards: o.Shards, Instance: o.Instance, Generation: generation,
		TTL: o.TTL, Renew: o.Renew, MarkerTTL: bucket.MarkerTTL,
	})
	return r
}

// loop passes events to the table and carries out its actions. It never blocks on NATS or
// on the Holder, so that it meets deadlines whatever they do.
func (r *run) loop(ctx context.Context) error {
	defer r.mailbox.Close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	done := ctx.Done()
	for {
		r.step()
		if r.table.Done() {
			return r.err
		}
		timer.Reset(time.Until(r.table.Next(time.Now())))
		select {
		case <-done:
			done = nil
			r.table.Quit()
		case <-r.mailbox.C():
			r.mailbox.Run()
		case m := <-r.messages:
			r.showAll(m)
		case m := <-r.answers:
			r.answered(m)
			for range len(r.answers) { // of one renewal: they come together
				r.answered(<-r.answers)
			}
		case <-timer.C:
		}
	}
}

// send publishes what the loop queues, until out is closed. It has its own goroutine
// because publishing blocks while the connection's buffer is full.
func (r *run) send() {
	for o := range r.out {
		err := errNotConnected
		if r.o.Conn.IsConnected() { // else it might be kept and sent much later
			err = r.o.Conn.PublishMsg(o.msg)
		}
		if err != nil && o.action.Op != 0 {
			r.mailbox.Post(func() { r.table.Failed(time.Now(), o.action.Shard, o.action.Op) })
		}
	}
	if r.o.Conn.IsConnected() {
		_ = r.o.Conn.FlushTimeout(flushTimeout)
	}
}
