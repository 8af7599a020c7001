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
	// heartbeats holds what 4 000 edges say in a second; one that is dropped is
	// made good by the next.
	heartbeats = 4096

	// watchEvery is how often the watch looks at itself, and paused what it takes
	// for standing still: this process was stopped, or the machine was.
	watchEvery = time.Second
	paused     = 3 * time.Second
)

// WatchEdges feeds the heartbeats of all edges to t until ctx ends. While NATS is
// away, and after this process stood still, nobody counts as silent.
func WatchEdges(ctx context.Context, nc *nats.Conn, t *liveness.Table) error {
	in := make(chan *nats.Msg, heartbeats)
	sub, err := nc.ChanSubscribe(subject.HeartbeatOf(wire.ServiceEdge), in)
	if err != nil {
		return fmt.Errorf("watch edges: %w", err)
	}
	// The connection may be gone at the end; then the subscription is too.
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
