package fleet_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/monitor/internal/fleet"
)

const thousand = 1000

// large is a fleet of a thousand instances, a tenth of them room instances with
// a hundred rooms each.
func large(b *testing.B) ([]*process, *fleet.Fleet) {
	f := fleet.New(start)
	all := make([]*process, thousand)
	for i := range all {
		service := wire.ServiceEdge
		if i%10 == 0 {
			service = wire.ServiceRoom
		}
		p := newProcess(b, f, service, fmt.Sprint(service, i), 1)
		if service == wire.ServiceRoom {
			for r := range 100 {
				p.tel.Rooms = append(p.tel.Rooms, wire.RoomDetail{RoomID: fmt.Sprint(i, "-", r), LastActivityMs: int64(i * r)})
			}
		}
		p.beat(at(0))
		p.sendTelemetry(at(0), nil)
		all[i] = p
	}
	return all, f
}

// BenchmarkFold takes in one second of a thousand instances: a heartbeat each,
// and the telemetry of a fifth of them.
func BenchmarkFold(b *testing.B) {
	all, f := large(b)
	counters := map[string]uint64{}
	for _, name := range []string{
		wire.CountConnections, wire.CountDisconnections, wire.CountDelivered, wire.CountViolations,
		wire.CountSlowConsumers, wire.CountGaps, wire.CountFallback,
	} {
		counters[name] = 1
	}
	b.ReportAllocs()
	for now := at(0); b.Loop(); now = now.Add(time.Second) {
		for i, p := range all {
			p.beat(now)
			if i%5 == 0 {
				p.sendTelemetry(now, counters)
			}
		}
		f.Sweep(now)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(thousand*1.2), "ns/word")
}

func BenchmarkHealth(b *testing.B) {
	_, f := large(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(f.Health(at(time.Second))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStats(b *testing.B) {
	_, f := large(b)
	b.ReportAllocs()
	for b.Loop() {
		f.Sweep(at(time.Second)) // forgets the sorted rooms
		s, err := f.Stats(at(time.Second), "")
		if err != nil {
			b.Fatal(err)
		}
		if _, err = json.Marshal(s); err != nil {
			b.Fatal(err)
		}
	}
}
