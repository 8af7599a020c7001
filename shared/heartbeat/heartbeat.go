// Package heartbeat publishes an instance's heartbeat every second and its counters
// (telemetry) every five seconds. Room owners detect dead edges by missing heartbeats;
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

// Interval is the time between heartbeats. TelemetryEvery is the number of heartbeats
// between two telemetry reports.
const (
	Interval       = time.Second
	TelemetryEvery = 5
)

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
	// Count sets counters, latencies and the other fields that the service reports every five seconds.
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
	if h.src.Count == nil || !telemetryDue(h.seq) {
		return nil
	}
	tel := wire.Telemetry{Service: h.src.Service, Instance: h.src.Instance, Gen: h.src.Gen, Seq: h.seq}
	h.src.Count(&tel)
	return h.publish(subject.Telemetry(h.src.Service, h.src.Instance), tel)
}

// telemetryDue reports whether telemetry accompanies a heartbeat: each of the first ones,
// because subscribers may not be listening yet when a process starts, and every fifth.
func telemetryDue(seq uint64) bool {
	return seq <= TelemetryEvery || (seq-1)%TelemetryEvery == 0
}

// flushWait bounds the flush of the last heartbeat.
const flushWait = 500 * time.Millisecond

func (h *heart) stop() error {
	hb := h.heartbeat()
	hb.State = wire.StateStopped
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
