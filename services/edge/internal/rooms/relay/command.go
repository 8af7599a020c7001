package relay

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/natsconn"
)

// RoomCommand sends a command to the owner of a room's shard. done runs exactly once: on
// the intake's goroutine or, after the relay has ended, before this returns. done may
// keep reply. Commands about one room go out in the order of the calls.
func (r *Relay) RoomCommand(shard int, op subject.RoomOp, m wire.Message, header nats.Header, deadline time.Time, done func(reply []byte, err error)) {
	r.command(roomShard, shard, subject.RoomCommand(shard, op), m, header, deadline, done)
}

// UserCommand is RoomCommand for the owner of a user's shard.
func (r *Relay) UserCommand(shard int, op subject.UserOp, m wire.Message, header nats.Header, deadline time.Time, done func(reply []byte, err error)) {
	r.command(userShard, shard, subject.UserCommand(shard, op), m, header, deadline, done)
}

func (r *Relay) command(k kind, shard int, subj string, m wire.Message, header nats.Header, deadline time.Time, done func([]byte, error)) {
	c := &call{subject: subj, header: header, data: wire.Marshal(m), deadline: deadline, done: done}
	in := r.intake(shard)
	if !in.mailbox.Post(func() { in.lane(k, shard).submit(c) }) {
		done(nil, ErrStopped)
	}
}

// Typing notifies the owner of a room, at most once, that a user types or has stopped.
func (r *Relay) Typing(shard int, m *wire.Typing) {
	data := wire.Marshal(m)
	in := r.intake(shard)
	in.mailbox.Post(func() {
		if l := in.lane(roomShard, shard); l.stalled {
			return
		}
		if err := in.nc.Publish(subject.RoomTyping(shard), data); err != nil {
			in.log.Debug("typing not published", "event", "relay.typing", "err", err)
		}
	})
}

// Do sends one request without a lane, for what has a fallback. Unlike
// natsconn.Requester's Do it publishes on another goroutine. done runs on a goroutine of
// the relay or, after the relay has ended, before this returns. It must not block.
func (r *Relay) Do(subj string, header nats.Header, data []byte, timeout time.Duration, done natsconn.Done) {
	in := r.intake(subject.ShardOf(subj)) // any, but the same for the same subject
	if !in.mailbox.Post(func() { in.req.Do(subj, header, data, timeout, done) }) {
		done(nil, nats.ErrConnectionClosed)
	}
}

// Flush waits until every command has been answered, or ctx ends.
func (r *Relay) Flush(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for r.openCommands(ctx) > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r *Relay) openCommands(ctx context.Context) int {
	answers := make(chan int, len(r.intakes)) // buffered for all: an intake never waits
	for _, in := range r.intakes {
		if !in.mailbox.Post(func() { answers <- in.open() }) {
			answers <- 0
		}
	}
	total := 0
	for range r.intakes {
		select {
		case n := <-answers:
			total += n
		case <-ctx.Done():
			return 0
		}
	}
	return total
}
