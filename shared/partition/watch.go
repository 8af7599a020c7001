package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/shared/partition/internal/bucket"
)

const (
	openRetry   = 50 * time.Millisecond // pause after the first failed attempt to open the bucket and a watch,
	openRetries = time.Second           // doubling up to this
	// openPatience times the pause is the timeout of an attempt. It is short at first,
	// because a cluster does not answer about a stream that another instance is just
	// creating, and never long, because such an answer does not arrive late.
	openPatience = 5
	openTimeout  = 2 * time.Second

	statusPoll = time.Second // in case a status event was dropped

	// watchBuffer holds the initial keys of all shards and instances, and bursts of
	// renewals and expiries, while the loop is busy. An overflow is detected as a gap,
	// and a new watch begins.
	watchBuffer = 8192
)

// keeper keeps a watch of the group's keys open. It waits for NATS, creates the bucket if
// necessary, and starts a new watch after a reconnect, because messages may have been lost
// and the bucket, which is in memory, may have been replaced. It is the only goroutine
// that may block on NATS for long.
type keeper struct {
	// Static.
	conn     *nats.Conn
	js       jetstream.JetStream
	replicas int
	filter   string
	log      *slog.Logger

	report func(watchEvent) // to the loop; does not block
	again  <-chan bool      // from the loop: begin a new watch; true: the bucket was rewound
	floor  *atomic.Uint64   // written by the loop: highest revision seen

	// Owned by run.
	rewound bool
	said    error // the last reason logged; nil: available
	fresh   bool  // nothing logged yet
}

// watchEvent reports that a watch began (messages is set), that it ended, or that the
// connection was closed permanently (err is set).
type watchEvent struct {
	messages <-chan *nats.Msg
	pending  uint64 // number of existing keys that messages delivers first
	err      error
}

// run keeps the watch until ctx ends or the connection is closed permanently.
func (k *keeper) run(ctx context.Context) {
	status := k.conn.StatusChanged()
	defer k.conn.RemoveStatusListener(status)
	wait := openRetry
	for ctx.Err() == nil {
		if k.conn.IsClosed() {
			k.report(watchEvent{err: nats.ErrConnectionClosed})
			return
		}
		err := errNotConnected
		if k.conn.IsConnected() {
			err = k.session(ctx, status, min(openPatience*wait, openTimeout))
		}
		switch {
		case err == nil:
			wait = openRetry
			continue
		case ctx.Err() != nil:
			return
		case errors.Is(err, errNotConnected):
			wait = openRetry
		}
		k.logState(err)
		pause := wait
		if errors.Is(err, errNotConnected) {
			pause = statusPoll
		}
		k.pause(ctx, status, pause)
		wait = min(2*wait, openRetries)
	}
}

// pause waits for d, a change of the connection, or a request for a new watch.
func (k *keeper) pause(ctx context.Context, status <-chan nats.Status, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-status:
	case rewound := <-k.again:
		k.rewound = k.rewound || rewound
	case <-timer.C:
	}
}

// session opens a watch and keeps it open. It returns nil when a new watch is needed.
func (k *keeper) session(ctx context.Context, status <-chan nats.Status, timeout time.Duration) error {
	reconnects := k.conn.Stats().Reconnects
	sub, e, err := k.open(ctx, timeout)
	if err != nil {
		return err
	}
	// The server removes the consumer once it has no subscriber.
	defer func() { _ = sub.Unsubscribe() }()
	k.logState(nil)
	k.report(e)
	defer k.report(watchEvent{})
	timer := time.NewTicker(statusPoll)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case rewound := <-k.again:
			k.rewound = k.rewound || rewound
			return nil
		case <-status:
		case <-timer.C:
		}
		if !k.conn.IsConnected() || k.conn.Stats().Reconnects != reconnects {
			return nil
		}
	}
}

// open ensures that the bucket exists and starts to watch the group's keys.
func (k *keeper) open(ctx context.Context, timeout time.Duration) (*nats.Subscription, watchEvent, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := bucket.Open(ctx, k.js, k.replicas, k.floor.Load(), k.rewound); err != nil {
		return nil, watchEvent{}, err
	}
	k.rewound = false
	messages := make(chan *nats.Msg, watchBuffer)
	inbox := k.conn.NewInbox()
	sub, err := k.conn.ChanSubscribe(inbox, messages)
	if err != nil {
		return nil, watchEvent{}, fmt.Errorf("watch leases: %w", err)
	}
	c, err := k.js.CreatePushConsumer(ctx, bucket.Stream, jetstream.ConsumerConfig{
		DeliverSubject: inbox,
		DeliverPolicy:  jetstream.DeliverLastPerSubjectPolicy,
		AckPolicy:      jetstream.AckNonePolicy,
		FilterSubject:  k.filter,
		Replicas:       1,
		MemoryStorage:  true,
	})
	if err != nil {
		_ = sub.Unsubscribe()
		return nil, watchEvent{}, fmt.Errorf("watch leases: %w", err)
	}
	return sub, watchEvent{messages: messages, pending: c.CachedInfo().NumPending}, nil
}

// logState logs each change of state once.
func (k *keeper) logState(err error) {
	switch {
	case err == nil && (k.fresh || k.said != nil):
		k.log.Info("shard leases available")
	case err != nil && (k.fresh || k.said == nil || errors.Is(err, errNotConnected) != errors.Is(k.said, errNotConnected)):
		k.log.Warn("shard leases unavailable", "err", err)
	}
	k.said, k.fresh = err, false
}
