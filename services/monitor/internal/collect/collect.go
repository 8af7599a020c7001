// Package collect listens to what every instance says on NATS, keeps the fleet,
// and renders the bodies that clients ask for.
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

// maxWaiting bounds the words that have arrived and wait: three seconds of a
// thousand instances. Past it NATS drops them; the next second says it all again.
const maxWaiting = 4096

// tickEvery is how often time is looked at without a word: a NATS connection
// that is lost, shards without an owner.
const tickEvery = 500 * time.Millisecond

// Collector is the fleet as NATS tells it. Make it with New. Its methods may be
// called concurrently.
type Collector struct {
	// Static.
	nc    *nats.Conn
	log   *slog.Logger
	words chan *nats.Msg // to Run; never closed: NATS sends

	mu      sync.Mutex // guards the following
	fleet   *fleet.Fleet
	refused uint64 // words that could not be understood
	health  Answer // the newest
	stats   Answer // the newest of the first page
}

// New makes a collector; nothing is heard until Run.
func New(nc *nats.Conn, log *slog.Logger) *Collector {
	return &Collector{
		nc: nc, log: log,
		words: make(chan *nats.Msg, maxWaiting),
		fleet: fleet.New(time.Now()),
	}
}

// Run listens until ctx ends. It runs once. NATS may be absent: what cannot be
// heard is then shown as unknown. The error is that of a closed connection.
func (c *Collector) Run(ctx context.Context) error {
	for _, all := range []string{subject.HeartbeatAll, subject.TelemetryAll} {
		sub, err := c.nc.ChanSubscribe(all, c.words)
		if err != nil {
			return fmt.Errorf("listen to %s: %w", all, err)
		}
		// The connection may be gone already; then the subscription is too.
		defer func() { _ = sub.Unsubscribe() }()
	}
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	c.tick(time.Now())
	for {
		select {
		case m := <-c.words:
			c.take(m)
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
		c.fleet.Reached(now)
	} else {
		c.fleet.CutOff(now)
	}
	c.fleet.Sweep(now)
}

// take folds one word. Who may publish on a subject may speak for the instance
// in it, and for no other: permissions are by subject.
func (c *Collector) take(m *nats.Msg) {
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
		c.refused++
		c.log.Debug("a word of no instance", "subject", m.Subject)
	}
}

// Refused counts words that were not those of the instance in their subject.
func (c *Collector) Refused() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}
