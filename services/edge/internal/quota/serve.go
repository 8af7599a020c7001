package quota

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
)

// Listen begins to answer the owners of permits, who recall leases and ask for
// what is held. stop ends that and gives back what this edge has; whoever takes
// permits has stopped by then.
func (q *Quota) Listen(nc *nats.Conn) (stop func(), err error) {
	recalls, err := nc.Subscribe(subject.EdgeRecall(q.Edge), q.recalls)
	if err != nil {
		return nil, fmt.Errorf("subscribe to recalls: %w", err)
	}
	syncs, err := nc.Subscribe(subject.EdgesLeases, q.syncs)
	if err != nil {
		return nil, fmt.Errorf("subscribe to lease syncs: %w", err)
	}
	return func() {
		for _, leases := range q.held(-1, true) {
			q.publish(nc, subject.Limit(int(leases.Shard), subject.OpReturn), &leases)
		}
		for _, sub := range []*nats.Subscription{recalls, syncs} {
			_ = sub.Unsubscribe() // or the connection is gone, and the subscription with it
		}
	}, nil
}

// recalls answers wire.Recall.
func (q *Quota) recalls(m *nats.Msg) {
	var r wire.Recall
	if wire.Unmarshal(m.Data, &r) != nil || m.Reply == "" {
		return
	}
	leased := q.recall(r.User, r.Lease)
	q.respond(m, &leased)
}

// syncs answers wire.LeaseSync.
func (q *Quota) syncs(m *nats.Msg) {
	var s wire.LeaseSync
	if wire.Unmarshal(m.Data, &s) != nil || m.Reply == "" || s.Shard >= subject.Shards {
		return
	}
	for _, leases := range q.held(int(s.Shard), false) {
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
		q.Logger.Debug("leases not given back", "event", "quota.return", "err", err)
	}
}
