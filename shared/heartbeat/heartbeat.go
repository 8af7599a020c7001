// Package heartbeat publishes an instance's heartbeat and its counters (telemetry) every
// second. Room owners detect dead edges by missing heartbeats;
// the monitor computes health and statistics from both.
package heartbeat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
)

// Interval is the time between heartbeats.
const Interval = time.Second

// Source is the instance that Run reports. Its functions are called on Run's goroutine
// and must not block; each may be nil.
type Source struct {
	Service  string
	Instance string
	Gen      uint64 // new at every start, see NewGen
	Version  string

	// Beat sets State, Note and the service's load; Run sets the other fields. An empty
	// State means ok.
	Beat func(*wire.Heartbeat)
	// Count sets the counters and latencies, which are sums since the start of the process,
	// and the other fields of the telemetry.
	Count func(*wire.Telemetry)
}

// NewGen returns the generation of a process that starts at now. It is larger than that
// of any earlier start, unless the clock was set back by the time between the starts.
func NewGen(now time.Time) uint64 { return uint64(now.UnixNano()) }

// Run publishes until ctx ends; then it publishes once that the instance has stopped, so
// that others need not wait for its heartbeats to time out. A heartbeat that cannot be
// published because NATS is absent is skipped: the next one repeats its content. The
// error is nil unless a heartbeat cannot be encoded.
func Run(ctx context.Context, nc *nats.Conn, s Source) error {
	h := &heart{nc: nc, src: s, started: time.Now()}
	h.host, _ = os.Hostname() // it is only for people
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	for {
		if err := h.beat(); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return h.stop()
		}
	}
}

type heart struct {
	nc      *nats.Conn
	src     Source
	host    string
	started time.Time
	seq     uint64 // of the last heartbeat
}

func (h *heart) beat() error {
	hb := h.heartbeat()
	if h.src.Beat != nil {
		h.src.Beat(&hb)
	}
	if hb.State == "" {
		hb.State = wire.StateOK
	}
	if err := h.publish(subject.Heartbeat(h.src.Service, h.src.Instance), hb); err != nil {
		return err
	}
	return h.count()
}

// count publishes the telemetry that accompanies the last heartbeat.
func (h *heart) count() error {
	if h.src.Count == nil {
		return nil
	}
	tel := wire.Telemetry{Service: h.src.Service, Instance: h.src.Instance, Gen: h.src.Gen, Seq: h.seq}
	h.src.Count(&tel)
	return h.publish(subject.Telemetry(h.src.Service, h.src.Instance), tel)
}

// flushWait bounds the flush of the last heartbeat.
const flushWait = 500 * time.Millisecond

func (h *heart) stop() error {
	hb := h.heartbeat()
	hb.State = wire.StateStopped
	if err := h.count(); err != nil { // what happened since the last report
		return err
	}
	if err := h.publish(subject.Heartbeat(h.src.Service, h.src.Instance), hb); err != nil {
		return err
	}
	// An error is ignored: subscribers notice the missing heartbeats a little later.
	_ = h.nc.FlushTimeout(flushWait)
	return nil
}

func (h *heart) heartbeat() wire.Heartbeat {
	h.seq++
	return wire.Heartbeat{
		Service: h.src.Service, Instance: h.src.Instance, Gen: h.src.Gen, Version: h.src.Version,
		Host: h.host, StartedMs: h.started.UnixMilli(), Seq: h.seq,
	}
}

// publish encodes and sends v. It ignores a lost connection.
func (h *heart) publish(subj string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode heartbeat: %w", err)
	}
	if err := h.nc.Publish(subj, data); errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("publish heartbeat: %w", err)
	}
	return nil
}
