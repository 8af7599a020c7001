// Package collect subscribes to the heartbeats and telemetry of every instance, keeps
// the fleet up to date, and renders the bodies of the API.
package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/monitor/internal/fleet"
)

// maxQueued bounds the messages that wait to be handled: those of a thousand instances
// for three seconds. NATS drops the excess; the next heartbeats repeat its content.
const maxQueued = 4096

// tickEvery is how often the collector checks what no message announces: a lost NATS
// connection, and shards without an owner.
const tickEvery = 500 * time.Millisecond

// Collector keeps the fleet from messages on NATS. Make it with New. Its methods may be
// called concurrently.
type Collector struct {
	// Static.
	nc       *nats.Conn
	log      *slog.Logger
	messages chan *nats.Msg // from NATS to Run; never closed

	mu       sync.Mutex // guards the following
	fleet    *fleet.Fleet
	rejected uint64 // malformed messages, or for another subject
	health   Answer // the newest
	stats    Answer // the newest of the first page
}

// New returns a collector. It receives nothing until Run.
func New(nc *nats.Conn, log *slog.Logger) *Collector {
	return &Collector{
		nc: nc, log: log,
		messages: make(chan *nats.Msg, maxQueued),
		fleet:    fleet.New(time.Now()),
	}
}

// Run receives messages until ctx ends. It must be called at most once. NATS may be
// absent: its instances are then shown as unknown. It returns an error if the connection
// is closed.
func (c *Collector) Run(ctx context.Context) error {
	for _, all := range []string{subject.HeartbeatAll, subject.TelemetryAll} {
		sub, err := c.nc.ChanSubscribe(all, c.messages)
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", all, err)
		}
		// The connection may be gone already; then the subscription is too.
		defer func() { _ = sub.Unsubscribe() }()
	}
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	c.tick(time.Now())
	for {
		select {
		case m := <-c.messages:
			c.handle(m)
		case now := <-tick.C:
			c.tick(now)
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *Collector) tick(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nc.IsConnected() {
		c.fleet.Connected(now)
	} else {
		c.fleet.Disconnected(now)
	}
	c.fleet.Sweep(now)
}

// handle applies one message to the fleet. It rejects a message that names another
// instance than its subject: NATS grants permissions by subject.
func (c *Collector) handle(m *nats.Msg) {
	var hb wire.Heartbeat
	var tel wire.Telemetry
	isBeat := json.Unmarshal(m.Data, &hb) == nil && m.Subject == subject.Heartbeat(hb.Service, hb.Instance)
	isTel := !isBeat && json.Unmarshal(m.Data, &tel) == nil && m.Subject == subject.Telemetry(tel.Service, tel.Instance)

	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case isBeat:
		c.fleet.Heartbeat(time.Now(), &hb)
	case isTel:
		c.fleet.Telemetry(time.Now(), &tel)
	default:
		c.rejected++
		c.log.Debug("message rejected", "subject", m.Subject)
	}
}

// Rejected returns the number of messages that did not match the instance in their subject.
func (c *Collector) Rejected() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rejected
}
