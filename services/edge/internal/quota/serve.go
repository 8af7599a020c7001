package quota

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
)

// Listen starts answering the owners of permits, which recall leases and ask for the held
// ones. stop ends that and returns all leases to their owners. Take must not be called
// after stop.
func (q *Quota) Listen(nc *nats.Conn) (stop func(), err error) {
	recalls, err := nc.Subscribe(subject.EdgeRecall(q.Edge), q.onRecall)
	if err != nil {
		return nil, fmt.Errorf("subscribe to recalls: %w", err)
	}
	syncs, err := nc.Subscribe(subject.EdgesLeases, q.onLeaseSync)
	if err != nil {
		return nil, fmt.Errorf("subscribe to lease syncs: %w", err)
	}
	return func() {
		for _, leases := range q.heldLeases(-1, true) {
			q.publish(nc, subject.Limit(int(leases.Shard), subject.OpReturn), &leases)
		}
		for _, sub := range []*nats.Subscription{recalls, syncs} {
			_ = sub.Unsubscribe() // it fails if the connection is closed, which ends the subscription too
		}
	}, nil
}

// onRecall answers wire.Recall.
func (q *Quota) onRecall(m *nats.Msg) {
	var r wire.Recall
	if wire.Unmarshal(m.Data, &r) != nil || m.Reply == "" {
		return
	}
	leased := q.recall(r.User, r.Lease)
	q.respond(m, &leased)
}

// onLeaseSync answers wire.LeaseSync.
func (q *Quota) onLeaseSync(m *nats.Msg) {
	var s wire.LeaseSync
	if wire.Unmarshal(m.Data, &s) != nil || m.Reply == "" || s.Shard >= subject.Shards {
		return
	}
	for _, leases := range q.heldLeases(int(s.Shard), false) {
		q.respond(m, &leases)
	}
}

func (q *Quota) respond(m *nats.Msg, answer wire.Message) {
	if err := m.Respond(wire.Marshal(answer)); err != nil {
		q.Logger.Debug("lease not answered", "event", "quota.answer", "err", err)
	}
}

func (q *Quota) publish(nc *nats.Conn, subj string, m wire.Message) {
	if err := nc.Publish(subj, wire.Marshal(m)); err != nil {
		q.Logger.Debug("leases not returned", "event", "quota.return", "err", err)
	}
}
