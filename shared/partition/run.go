package partition

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/confab-chat/confab/shared/partition/internal/lease"
)

// flushTimeout bounds how long a stopping instance waits for its last words to leave.
const flushTimeout = 500 * time.Millisecond

// run is the state of one Run. Everything but the channels is owned by the loop.
type run struct {
	// Static.
	m     *Member
	o     Options
	h     Holder
	log   *slog.Logger
	keys  keys
	self  record
	inbox string // prefix of the answers' subjects
	ttl   string

	table    *lease.Table
	version  uint64               // of the table, when last published
	contexts []context.CancelFunc // by shard: ends the context of its lease
	base     context.Context      // of the leases: outlives the graceful stop's begin

	messages <-chan *nats.Msg // of the present watch; nil: none
	pending  uint64           // present keys still to be shown
	listed   bool             // the present watch has shown them
	lastSeen uint64           // delivery number of its last message

	answers chan *nats.Msg
	failed  chan lease.Action // publications that were not sent; from the sender
	out     chan outgoing     // to the sender
	calls   chan call         // returned calls of the Holder; one for each shard at most
	events  chan watchEvent
	again   chan bool
	floor   atomic.Uint64 // for the keeper

	calling sync.WaitGroup
}

// outgoing is a publication on its way to the sender.
type outgoing struct {
	action lease.Action
	msg    *nats.Msg
}

// call is a call of the Holder that returned.
type call struct {
	shard   int
	acquire bool
	err     error
}

// Run takes part in the group until ctx ends, then gives everything back and
// returns nil when the last Release has returned. It returns an error if the
// connection is closed before, or if it has been called before. While NATS does
// not answer, it waits for Renew at most, and for a connection that blocks
// publishing, until it gives way or is closed.
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
		conn: m.o.Conn, js: js, replicas: m.o.Replicas, filter: r.keys.all(), log: r.log,
		events: r.events, again: r.again, floor: &r.floor, fresh: true,
	}
	work, stop := context.WithCancel(r.base)
	var helpers sync.WaitGroup
	helpers.Go(func() { k.run(work) })
	helpers.Go(func() { r.send(work) })
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
		log:      o.Logger.With("group", o.Group, "instance", o.Instance),
		keys:     newKeys(o.Group),
		self:     record{Instance: o.Instance, Generation: generation},
		inbox:    o.Conn.NewInbox(),
		ttl:      o.TTL.String(),
		contexts: make([]context.CancelFunc, o.Shards),
		// A shard has one publication under way; after a stall the answers to
		// given up ones come on top. What overflows counts as lost.
		answers: make(chan *nats.Msg, 32*o.Shards),
		failed:  make(chan lease.Action, 2*o.Shards),
		// One for each shard and the announcements. Full means that the
		// connection does not take any more: a publication then fails at once.
		out:    make(chan outgoing, 2*o.Shards+8),
		calls:  make(chan call, o.Shards),
		events: make(chan watchEvent),
		again:  make(chan bool, 1),
	}
	r.table = lease.New(lease.Config{
		Shards: o.Shards, Instance: o.Instance, Generation: generation,
		TTL: o.TTL, Renew: o.Renew, MarkerTTL: markerTTL,
	})
	return r
}

// loop feeds the table and does what it says. It never blocks on NATS or on
// the Holder, so that deadlines are kept whatever happens to them.
func (r *run) loop(ctx context.Context) (err error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	done := ctx.Done()
	for {
		r.step()
		if r.table.Done() {
			return err
		}
		timer.Reset(time.Until(r.table.Next(time.Now())))
		select {
		case <-done:
			done = nil
			r.table.Quit()
		case e := <-r.events:
			if e.err != nil {
				err = fmt.Errorf("partition: lost nats: %w", e.err)
				r.table.Quit()
			}
			r.opened(e)
		case m := <-r.messages:
			r.showAll(m)
		case m := <-r.answers:
			r.answered(m)
			for range len(r.answers) { // of one renewal: they come together
				r.answered(<-r.answers)
			}
		case a := <-r.failed:
			r.table.Failed(time.Now(), a.Shard, a.Op)
		case c := <-r.calls:
			r.returned(c)
		case <-timer.C:
		}
	}
}

// step lets the table act and publishes what changed.
func (r *run) step() {
	for _, a := range r.table.Step(time.Now()) {
		r.do(a)
	}
	floor, _ := r.table.Floor()
	r.floor.Store(floor)
	if v := r.table.Version(); v != r.version {
		r.version = v
		r.publishView()
	}
}

func (r *run) publishView() {
	old := r.m.view.Load()
	v := &view{owners: old.owners, live: old.live}
	for shard := range r.o.Shards {
		if epoch, _ := r.table.Epoch(shard); r.table.Serving(shard) {
			v.held = append(v.held, Lease{shard, epoch})
		}
	}
	if r.table.Synced() {
		v.live = r.table.Live()
		v.owners = make([]Owner, r.o.Shards)
		for shard := range v.owners {
			if h, ok := r.table.Holder(shard); ok {
				v.owners[shard] = Owner{h.Instance, h.Epoch}
			}
		}
	}
	r.m.view.Store(v)
}

func (r *run) do(a lease.Action) {
	if msg := r.publication(a); msg != nil {
		select {
		case r.out <- outgoing{a, msg}:
		default:
			if a.Op != 0 {
				r.table.Failed(time.Now(), a.Shard, a.Op)
			}
		}
		return
	}
	switch a.Verb {
	case lease.Start:
		ctx, cancel := context.WithCancel(r.base)
		r.contexts[a.Shard] = cancel
		l := Lease{a.Shard, a.Epoch}
		r.log.Debug("shard lease taken", "shard", l.Shard, "epoch", l.Epoch)
		r.calling.Go(func() { r.calls <- call{shard: l.Shard, acquire: true, err: r.h.Acquire(ctx, l)} })
	case lease.Stop:
		r.calling.Go(func() { r.h.Release(a.Shard); r.calls <- call{shard: a.Shard} })
	case lease.End:
		r.log.Debug("shard lease lost", "shard", a.Shard)
		r.contexts[a.Shard]()
	case lease.Rewatch:
		r.messages = nil
		_, rewound := r.table.Floor()
		select {
		case r.again <- rewound:
		default: // asked already
		}
	}
}

// opened begins or ends to listen to a watch.
func (r *run) opened(e watchEvent) {
	r.messages, r.pending, r.lastSeen, r.listed = e.messages, e.pending, 0, false
	if e.messages == nil {
		r.table.Blind()
		return
	}
	r.table.Reset()
	if e.pending == 0 {
		r.listed = true
		r.table.SyncDone(time.Now())
	}
}

// showAll takes m and what else is there already.
func (r *run) showAll(m *nats.Msg) {
	messages := r.messages
	r.shown(m)
	for n := len(messages); n > 0 && r.messages != nil; n-- {
		r.shown(<-messages)
	}
}

// shown takes a message of the watch.
func (r *run) shown(m *nats.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		return // no delivery of a consumer
	}
	if meta.Sequence.Consumer != r.lastSeen+1 {
		r.do(lease.Action{Verb: lease.Rewatch})
		r.table.Blind()
		return
	}
	r.lastSeen++
	now, revision := time.Now(), meta.Sequence.Stream
	name, shard, ok := r.keys.parse(m.Subject, r.o.Shards)
	switch end := ended(m); {
	case !ok:
	case name != "" && end:
		r.table.MemberGone(now, name, revision)
	case name != "":
		r.table.MemberSeen(now, name, revision)
	case end:
		r.table.LeaseGone(now, shard, revision)
	default:
		var rec record
		if err := json.Unmarshal(m.Data, &rec); err != nil {
			r.log.Debug("unreadable lease", "subject", m.Subject, "err", err)
		}
		r.table.LeaseSeen(now, shard, revision, lease.Holder(rec))
	}
	if !r.listed && (r.lastSeen >= r.pending || meta.NumPending == 0) {
		r.listed = true
		r.table.SyncDone(time.Now())
	}
}

// answered takes the answer to a publication.
func (r *run) answered(m *nats.Msg) {
	shard, op, ok := parseAnswerSubject(r.inbox, m.Subject, r.o.Shards)
	if !ok {
		return
	}
	now := time.Now()
	switch kind, revision := parseAnswer(m); kind {
	case stored:
		r.table.Acked(now, shard, op, revision)
	case refused:
		r.table.Refused(now, shard, op)
	case unstored:
		r.table.NoStream(now, shard, op)
	case failed:
		r.table.Failed(now, shard, op)
	}
}

// returned takes the end of a call of the Holder.
func (r *run) returned(c call) {
	if !c.acquire {
		r.contexts[c.shard]()
		r.table.Stopped(c.shard)
		return
	}
	if c.err != nil {
		r.contexts[c.shard]()
		r.log.Warn("shard not acquired", "shard", c.shard, "err", c.err)
	}
	r.table.Started(time.Now(), c.shard, c.err)
}

// send publishes what the loop hands out, until out is closed. It is a
// goroutine of its own because publishing blocks while the connection's buffer
// is full.
func (r *run) send(ctx context.Context) {
	for o := range r.out {
		err := errNotConnected
		if r.o.Conn.IsConnected() { // else it might be kept and sent much later
			err = r.o.Conn.PublishMsg(o.msg)
		}
		if err != nil && o.action.Op != 0 {
			select {
			case r.failed <- o.action:
			case <-ctx.Done():
			}
		}
	}
	if r.o.Conn.IsConnected() {
		_ = r.o.Conn.FlushTimeout(flushTimeout)
	}
}
