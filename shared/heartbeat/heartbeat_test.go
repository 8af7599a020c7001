package heartbeat_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/heartbeat"
	"github.com/confab-chat/confab/shared/natstest"
)

func next[T any](t *testing.T, ch chan *nats.Msg) (v T) {
	t.Helper()
	if err := json.Unmarshal((<-ch).Data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRun(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		nc := natstest.Start(t).Conn(t)
		beats, tels := make(chan *nats.Msg, 64), make(chan *nats.Msg, 64)
		for subj, ch := range map[string]chan *nats.Msg{subject.HeartbeatAll: beats, subject.TelemetryAll: tels} {
			if _, err := nc.ChanSubscribe(subj, ch); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := heartbeat.Run(ctx, nc, heartbeat.Source{
				Service: wire.ServiceRoom, Instance: "r1", Gen: 7, Version: "v1",
				Beat:  func(h *wire.Heartbeat) { h.Room = &wire.RoomLoad{Rooms: 3} },
				Count: func(tel *wire.Telemetry) { tel.Counters = map[string]uint64{wire.CountMessages: 9} },
			}); err != nil {
				t.Error(err)
			}
		})
		first := next[wire.Heartbeat](t, beats)
		if first.Service != wire.ServiceRoom || first.Gen != 7 || first.Seq != 1 || first.State != wire.StateOK || first.Room.Rooms != 3 {
			t.Errorf("first heartbeat %+v", first)
		}
		if tel := next[wire.Telemetry](t, tels); tel.Counters[wire.CountMessages] != 9 {
			t.Errorf("telemetry %+v", tel)
		}
		began := time.Now()
		if second := next[wire.Heartbeat](t, beats); second.Seq != 2 || time.Since(began) != time.Second {
			t.Errorf("second heartbeat has seq %d, after %v", second.Seq, time.Since(began))
		}
		cancel()
		wg.Wait()
		for {
			if last := next[wire.Heartbeat](t, beats); last.State == wire.StateStopped {
				// What happened since the last report is reported with it.
				for next[wire.Telemetry](t, tels).Seq != last.Seq {
				}
				return
			}
		}
	})
}

func TestRunWithoutNATS(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		srv := natstest.Start(t)
		srv.Stop()
		nc := srv.Conn(t, nats.RetryOnFailedConnect(true), nats.ReconnectBufSize(-1))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := heartbeat.Run(ctx, nc, heartbeat.Source{Service: "edge", Instance: "e"}); err != nil {
			t.Errorf("without NATS: %v", err)
		}
	})
}
