package shard

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/liveness"
)

const (
	// heartbeats bounds the heartbeats that wait: those of 4 000 edges in a second. The next
	// heartbeat makes up for a dropped one.
	heartbeats = 4096

	// watchEvery is how often WatchEdges checks its own clock. A check that is late by paused
	// means that this process was suspended.
	watchEvery = time.Second
	paused     = 3 * time.Second
)

// WatchEdges passes the heartbeats of all edges to t until ctx ends. While NATS is away, and
// after this process was suspended, no edge counts as silent.
func WatchEdges(ctx context.Context, nc *nats.Conn, t *liveness.Table) error {
	in := make(chan *nats.Msg, heartbeats)
	sub, err := nc.ChanSubscribe(subject.HeartbeatOf(wire.ServiceEdge), in)
	if err != nil {
		return fmt.Errorf("watch edges: %w", err)
	}
	// If the connection is closed already, so is the subscription.
	defer func() { _ = sub.Unsubscribe() }()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case m := <-in:
			var hb wire.Heartbeat
			if json.Unmarshal(m.Data, &hb) == nil && hb.Instance != "" {
				t.Observe(time.Now(), &hb)
			}
		case <-tick.C:
			now := time.Now()
			if !nc.IsConnected() || now.Sub(last) > paused {
				t.ResetSilence(now)
			}
			last = now
		case <-ctx.Done():
			return nil
		}
	}
}
