package partition

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/shared/partition/internal/bucket"
	"github.com/confab-chat/confab/shared/partition/internal/lease"
)

// step carries out the table's actions and publishes the new view.
func (r *run) step() {
	actions := r.table.Step(time.Now())
	for shard, h := range r.horizons {
		h.set(r.table.Deadline(shard))
	}
	for _, a := range actions {
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
			v.held = append(v.held, Lease{Shard: shard, Epoch: epoch, until: r.horizons[shard]})
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
		l := Lease{Shard: a.Shard, Epoch: a.Epoch, until: r.horizons[a.Shard]}
		r.log.Debug("shard lease acquired", "shard", l.Shard, "epoch", l.Epoch)
		r.calling.Go(func() {
			err := r.h.Acquire(ctx, l)
			r.mailbox.Post(func() { r.acquired(l.Shard, err) })
		})
	case lease.Stop:
		r.calling.Go(func() {
			r.h.Release(a.Shard)
			r.mailbox.Post(func() { r.released(a.Shard) })
		})
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

// opened switches to a new watch, or stops using the one that ended.
func (r *run) opened(e watchEvent) {
	if e.err != nil {
		r.err = fmt.Errorf("partition: lost nats: %w", e.err)
		r.table.Quit()
	}
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

// showAll handles m and all other queued messages.
func (r *run) showAll(m *nats.Msg) {
	messages := r.messages
	r.shown(m)
	for n := len(messages); n > 0 && r.messages != nil; n-- {
		r.shown(<-messages)
	}
}

// shown handles one message of the watch.
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
	name, shard, ok := r.keys.Parse(m.Subject, r.o.Shards)
	switch end := bucket.Ended(m); {
	case !ok:
	case name != "" && end:
		r.table.MemberGone(now, name, revision)
	case name != "":
		r.table.MemberSeen(now, name, revision)
	case end:
		r.table.LeaseGone(now, shard, revision)
	default:
		var rec bucket.Record
		if err := json.Unmarshal(m.Data, &rec); err != nil {
			r.log.Warn("unreadable lease", "subject", m.Subject, "err", err)
		}
		r.table.LeaseSeen(now, shard, revision, lease.Holder(rec))
	}
	if !r.listed && (r.lastSeen >= r.pending || meta.NumPending == 0) {
		r.listed = true
		r.table.SyncDone(time.Now())
	}
}

// answered handles the answer to a publication.
func (r *run) answered(m *nats.Msg) {
	shard, op, ok := bucket.ParseAnswerSubject(r.inbox, m.Subject, r.o.Shards)
	if !ok {
		return
	}
	now := time.Now()
	switch answer, revision := bucket.ParseAnswer(m); answer {
	case bucket.Stored:
		r.table.Acked(now, shard, op, revision)
	case bucket.Refused:
		r.table.Refused(now, shard, op)
	case bucket.Unheard:
		r.table.NoStream(now, shard, op)
	case bucket.Failed:
		r.table.Failed(now, shard, op)
	}
}

// acquired handles the return of the Holder's Acquire.
func (r *run) acquired(shard int, err error) {
	if err != nil {
		r.contexts[shard]()
		r.log.Warn("shard not acquired", "shard", shard, "err", err)
	}
	r.table.Started(time.Now(), shard, err)
}

// released handles the return of the Holder's Release.
func (r *run) released(shard int) {
	r.contexts[shard]()
	r.table.Stopped(shard)
}

// publication returns the message to publish for an action; nil if the action is no
// publication.
func (r *run) publication(a lease.Action) *nats.Msg {
	var m *nats.Msg
	switch a.Verb {
	case lease.Announce:
		return bucket.Put(r.keys.Instance(r.o.Instance), r.self, r.o.TTL)
	case lease.Withdraw:
		return bucket.End(r.keys.Instance(r.o.Instance))
	case lease.Claim, lease.Renew:
		record := r.self
		record.Epoch = a.Epoch
		m = bucket.Put(r.keys.Lease(a.Shard), record, r.o.TTL)
	case lease.Drop:
		m = bucket.End(r.keys.Lease(a.Shard))
	default:
		return nil
	}
	bucket.Expect(m, a.Expect)
	m.Reply = bucket.AnswerSubject(r.inbox, a.Shard, a.Op)
	return m
}
