// Package heartbeat says each second that an instance lives, and each five
// seconds what it has counted. Room owners find dead edges by it, the monitor
// folds it into health and statistics.
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

// Interval is the time between heartbeats, TelemetryEvery the number of
// heartbeats between two telemetries.
const (
	Interval       = time.Second
	TelemetryEvery = 5
)

// Source is whose heart beats. The functions are called on Run's goroutine and
// must not block; each may be nil.
type Source struct {
	Service  string
	Instance string
	Gen      uint64 // new at every start, see NewGen
	Version  string

	// Beat fills State, Note and the service's load; the rest is filled already.
	// State is ok when it leaves it empty.
	Beat func(*wire.Heartbeat)
	// Count fills counters, latencies and what else the service tells each five seconds.
	Count func(*wire.Telemetry)
}

// NewGen is a generation for a process that starts at now: larger than that of any
// earlier start on a clock that does not jump back by the time between starts.
func NewGen(now time.Time) uint64 { return uint64(now.UnixNano()) }

// Run publishes until ctx ends; then it says once that the instance has stopped,
// so that nobody has to wait for its silence. What cannot be published, because
// NATS is away, is left out: the next heartbeat says it all again. The error is
// nil unless a heartbeat cannot be encoded.
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

// telemetryDue tells whether telemetry goes with a heartbeat: with each of the first,
// because nobody may be listening yet when a process starts, and with every fifth.
func telemetryDue(seq uint64) bool {
	return seq <= TelemetryEvery || (seq-1)%TelemetryEvery == 0
}

// flushWait is how long the last heartbeat may take to leave.
const flushWait = 500 * time.Millisecond

func (h *heart) stop() error {
	hb := h.heartbeat()
	hb.State = wire.StateStopped
	if err := h.publish(subject.Heartbeat(h.src.Service, h.src.Instance), hb); err != nil {
		return err
	}
	// Without NATS nobody hears it, and the silence says the same a little later.
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

// publish encodes and sends; a connection that is away is no error.
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
