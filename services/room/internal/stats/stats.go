// Package stats counts what an instance of the room service does.
package stats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/telemetry"
)

// Counters count what all shards of an instance do, since the process started. They are safe
// for concurrent use.
type Counters struct {
	Messages     atomic.Uint64 // stored
	Duplicates   atomic.Uint64 // repeats, answered with the stored message
	Conflicts    atomic.Uint64 // repeats of a client id with other content
	Refused      atomic.Uint64 // answered UNAVAILABLE
	RoomsCreated atomic.Uint64 // first joins of rooms without members and messages
	Retries      atomic.Uint64 // appends and reads of the log that were repeated
	Holes        atomic.Uint64 // found in the log: must stay 0
	Malformed    atomic.Uint64 // reads of records of the log that cannot be decoded: must stay 0

	logger   *slog.Logger
	loggedAt atomic.Int64            // unix seconds of the last line about a failure
	duration metric.Float64Histogram // nil before Register

	mu      sync.Mutex // guards appends
	appends wire.Histogram
}

// New returns counters that log failures, at most one a second.
func New(logger *slog.Logger) *Counters { return &Counters{logger: logger} }

// CountStored counts the messages stored by one append, and how long it took.
func (c *Counters) CountStored(messages int, took time.Duration) {
	c.Messages.Add(uint64(messages))
	if c.duration != nil {
		c.duration.Record(context.Background(), took.Seconds())
	}
	c.mu.Lock()
	c.appends.Add(took)
	c.mu.Unlock()
}

// CountRetry counts an append or read that failed and has to be repeated, and logs err.
func (c *Counters) CountRetry(err error) {
	c.Retries.Add(1)
	now := time.Now().Unix()
	if last := c.loggedAt.Load(); last != now && c.loggedAt.CompareAndSwap(last, now) {
		c.logger.Warn("message log operation failed, retrying", "event", "log.retry", "err", err)
	}
}

// Appends returns a copy of the histogram of append durations.
func (c *Counters) Appends() wire.Histogram {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.appends
	h.Buckets = maps.Clone(h.Buckets)
	return h
}

// Register creates the room service's instruments in meter. load is called for what the
// instance owns now. Register must be called once, before anything is counted.
func (c *Counters) Register(meter metric.Meter, load func() wire.RoomLoad) error {
	accepted, err1 := meter.Int64ObservableCounter("chat.messages.accepted",
		metric.WithUnit("{message}"), metric.WithDescription("Messages sent to rooms, by outcome."))
	rooms, err2 := meter.Int64ObservableUpDownCounter("chat.rooms.active",
		metric.WithUnit("{room}"), metric.WithDescription("Rooms with members: on this edge, or in the shards of this room instance."))
	users, err3 := meter.Int64ObservableUpDownCounter("chat.users.online",
		metric.WithUnit("{user}"), metric.WithDescription("Users online in the shards owned."))
	retries, err4 := meter.Int64ObservableCounter("chat.log.retries",
		metric.WithUnit("{operation}"), metric.WithDescription("Appends and reads of the message log that failed and were repeated."))
	holes, err5 := meter.Int64ObservableCounter("chat.sequence.gaps",
		metric.WithUnit("{gap}"), metric.WithDescription("Gaps found in the sequence of a room and repaired."))
	malformed, err7 := meter.Int64ObservableCounter("chat.log.malformed",
		metric.WithUnit("{record}"), metric.WithDescription("Reads of records of the message log that cannot be decoded."))
	duration, err6 := meter.Float64Histogram("chat.log.append.duration",
		metric.WithUnit("s"), metric.WithDescription("Time from an append to its acknowledgement."), telemetry.Seconds())
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7); err != nil {
		return fmt.Errorf("make room metrics: %w", err)
	}
	c.duration = duration
	outcome := func(s string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(attribute.String("outcome", s)))
	}
	ok, duplicate, client, server := outcome("ok"), outcome("duplicate"), outcome("client_error"), outcome("server_error")
	side := metric.WithAttributeSet(attribute.NewSet(attribute.String("chat.side", "room")))
	_, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		now := load()
		o.ObserveInt64(accepted, int64(c.Messages.Load()), ok)
		o.ObserveInt64(accepted, int64(c.Duplicates.Load()), duplicate)
		o.ObserveInt64(accepted, int64(c.Conflicts.Load()), client)
		o.ObserveInt64(accepted, int64(c.Refused.Load()), server)
		o.ObserveInt64(rooms, int64(now.Rooms))
		o.ObserveInt64(users, int64(now.Users))
		o.ObserveInt64(retries, int64(c.Retries.Load()))
		o.ObserveInt64(holes, int64(c.Holes.Load()), side)
		o.ObserveInt64(malformed, int64(c.Malformed.Load()))
		return nil
	}, accepted, rooms, users, retries, holes, malformed)
	if err != nil {
		return fmt.Errorf("register room metrics: %w", err)
	}
	return nil
}
