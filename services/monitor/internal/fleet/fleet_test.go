package fleet_test

import (
	"slices"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/monitor/internal/api"
	"github.com/confab-chat/confab/services/monitor/internal/fleet"
)

// start is when the monitors of these tests begin to listen; at is so much later.
var start = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)

func at(d time.Duration) time.Time { return start.Add(d) }

// process publishes as one process of a service does.
type process struct {
	t   testing.TB
	f   *fleet.Fleet
	hb  wire.Heartbeat
	tel wire.Telemetry
}

func newProcess(t testing.TB, f *fleet.Fleet, service, instance string, gen uint64) *process {
	p := &process{
		t: t, f: f,
		hb: wire.Heartbeat{
			Service: service, Instance: instance, Gen: gen, Version: "1.2.3",
			StartedMs: start.UnixMilli() + int64(gen), State: wire.StateOK,
		},
		tel: wire.Telemetry{Service: service, Instance: instance, Gen: gen, Counters: map[string]uint64{}},
	}
	switch service {
	case wire.ServiceEdge:
		p.hb.Edge = &wire.EdgeLoad{}
	case wire.ServiceRoom:
		p.hb.Room = &wire.RoomLoad{Shards: shards(0, subject.Shards)}
	case wire.ServiceRateLimit:
		p.hb.Limit = &wire.LimitLoad{Shards: shards(0, subject.Shards)}
	}
	return p
}

// shards from, from+1, ... to-1.
func shards(from, to int) []int {
	list := make([]int, 0, to-from)
	for s := from; s < to; s++ {
		list = append(list, s)
	}
	return list
}

func (p *process) beat(now time.Time) {
	p.t.Helper()
	p.hb.Seq++
	hb := p.hb
	if !p.f.Heartbeat(now, &hb) {
		p.t.Fatalf("heartbeat %d of %s/%s was refused", hb.Seq, hb.Service, hb.Instance)
	}
}

func (p *process) sendTelemetry(now time.Time, counters map[string]uint64) {
	p.t.Helper()
	p.tel.Seq++
	tel := p.tel
	tel.Counters = counters
	if !p.f.Telemetry(now, &tel) {
		p.t.Fatalf("telemetry %d of %s/%s was refused", tel.Seq, tel.Service, tel.Instance)
	}
}

// cluster is one instance of each service, all having spoken once at now.
func cluster(t testing.TB, f *fleet.Fleet, now time.Time) map[string]*process {
	t.Helper()
	all := make(map[string]*process)
	for _, service := range []string{
		wire.ServiceEdge, wire.ServiceRoom, wire.ServiceRateLimit, wire.ServiceMonitor,
	} {
		all[service] = newProcess(t, f, service, service+"-1", 1)
		all[service].beat(now)
		all[service].sendTelemetry(now, nil)
	}
	return all
}

func beatAll(all map[string]*process, now time.Time, but ...string) {
	for service, p := range all {
		if !slices.Contains(but, service) {
			p.beat(now)
		}
	}
}

func stats(t testing.TB, f *fleet.Fleet, now time.Time) api.Stats {
	t.Helper()
	s, err := f.Stats(now, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStateOfCluster(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		change   func(all map[string]*process, now time.Time)
		state    api.State
		complete bool
		missing  []string
	}{
		{"all ok", func(map[string]*process, time.Time) {}, api.Healthy, true, nil},
		{"an edge degraded", func(all map[string]*process, now time.Time) {
			all["edge"].hb.State = wire.StateDegraded
			all["edge"].beat(now)
		}, api.Degraded, true, nil},
		{"a word of a later release", func(all map[string]*process, now time.Time) {
			all["edge"].hb.State = "pondering"
			all["edge"].beat(now)
		}, api.Degraded, true, nil},
		{"an edge draining", func(all map[string]*process, now time.Time) {
			all["edge"].hb.State = wire.StateDraining
			all["edge"].beat(now)
		}, api.Degraded, true, nil},
		{"the only edge stopped", func(all map[string]*process, now time.Time) {
			all["edge"].hb.State = wire.StateStopped
			all["edge"].beat(now)
		}, api.Unhealthy, false, []string{"edge"}},
		{"the only room stopped", func(all map[string]*process, now time.Time) {
			all["room"].hb.State = wire.StateStopped
			all["room"].beat(now)
		}, api.Unhealthy, false, []string{"room"}},
		{"ratelimit stopped", func(all map[string]*process, now time.Time) {
			all["ratelimit"].hb.State = wire.StateStopped
			all["ratelimit"].beat(now)
		}, api.Degraded, false, []string{"ratelimit"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, now := fleet.New(start), at(10*time.Second)
			all := cluster(t, f, now)
			test.change(all, now)
			f.Sweep(now)
			h, s := f.Health(now), stats(t, f, now)
			if h.Status != test.state || h.Complete != test.complete || s.Complete != test.complete {
				t.Errorf("status %s, complete %v and %v; want %s, %v; notes %q",
					h.Status, h.Complete, s.Complete, test.state, test.complete, h.Notes)
			}
			if !slices.Equal(s.Missing, test.missing) {
				t.Errorf("missing %q, want %q", s.Missing, test.missing)
			}
			if (h.Status == api.Healthy) != (len(h.Notes) == 0) {
				t.Errorf("%s with notes %q", h.Status, h.Notes)
			}
		})
	}
}

func TestSilence(t *testing.T) {
	t.Parallel()
	tests := []struct {
		silence  time.Duration
		status   api.Status // "": not listed
		state    api.State
		complete bool
		missing  []string
	}{
		{0, api.StatusOK, api.Healthy, true, nil},
		{3 * time.Second, api.StatusOK, api.Healthy, true, nil},
		{3*time.Second + time.Millisecond, api.StatusStale, api.Degraded, false, nil},
		{5 * time.Second, api.StatusStale, api.Degraded, false, nil},
		{5*time.Second + time.Millisecond, api.StatusMissing, api.Degraded, false, []string{"ratelimit/ratelimit-1", "ratelimit"}},
		{60 * time.Second, api.StatusMissing, api.Degraded, false, []string{"ratelimit/ratelimit-1", "ratelimit"}},
		{60*time.Second + time.Millisecond, "", api.Degraded, false, []string{"ratelimit"}},
	}
	for _, test := range tests {
		t.Run(test.silence.String(), func(t *testing.T) {
			t.Parallel()
			f, now := fleet.New(start), at(time.Minute+test.silence)
			all := cluster(t, f, at(time.Minute))
			if test.silence > 0 {
				beatAll(all, now, wire.ServiceRateLimit)
			}
			for service, p := range all {
				if service != wire.ServiceRateLimit {
					p.sendTelemetry(now, nil)
				}
			}
			h, s := f.Health(now), stats(t, f, now)
			if h.Status != test.state || h.Complete != test.complete || s.Complete != test.complete {
				t.Errorf("status %s, complete %v and %v; want %s, %v; notes %q",
					h.Status, h.Complete, s.Complete, test.state, test.complete, h.Notes)
			}
			var status api.Status
			for _, listed := range h.Services {
				if listed.Service == wire.ServiceRateLimit {
					status = listed.Status
				}
			}
			if status != test.status {
				t.Errorf("listed as %q, want %q", status, test.status)
			}
			if !slices.Equal(s.Missing, test.missing) {
				t.Errorf("missing %q, want %q", s.Missing, test.missing)
			}
		})
	}
}

// A monitor that has just started does not know yet whether an instance is missing.
func TestWarmUp(t *testing.T) {
	t.Parallel()
	f := fleet.New(start)
	h := f.Health(at(time.Second))
	if h.Status != api.Degraded || h.Complete || len(h.Notes) == 0 {
		t.Errorf("nothing received after 1 s: %s, complete %v, notes %q", h.Status, h.Complete, h.Notes)
	}
	cluster(t, f, at(2*time.Second))
	if h = f.Health(at(2 * time.Second)); h.Status != api.Healthy || h.Complete {
		t.Errorf("all received after 2 s: %s, complete %v", h.Status, h.Complete)
	}
	if h = f.Health(at(5 * time.Second)); h.Status != api.Healthy || !h.Complete {
		t.Errorf("after 5 s: %s, complete %v, notes %q", h.Status, h.Complete, h.Notes)
	}
	if h = fleet.New(start).Health(at(5 * time.Second)); h.Status != api.Unhealthy || h.Complete {
		t.Errorf("nothing received after 5 s: %s, complete %v", h.Status, h.Complete)
	}
}

// What is late does not bring a stopped process back.
func TestStoppedStays(t *testing.T) {
	t.Parallel()
	f, now := fleet.New(start), at(10*time.Second)
	edge := newProcess(t, f, wire.ServiceEdge, "e", 1)
	edge.beat(now)
	late := edge.hb
	edge.hb.State = wire.StateStopped
	edge.beat(now)
	if f.Heartbeat(now, &late) {
		t.Error("a heartbeat from before the stop was taken")
	}
	edge.sendTelemetry(now, map[string]uint64{wire.CountConnections: 7})
	s := stats(t, f, now)
	if len(s.Instances) != 0 || s.Connections.Current != nil {
		t.Errorf("listed %v, %v connections", s.Instances, s.Connections.Current)
	}
	if got := s.Connections.Total; got == nil || *got != 7 {
		t.Errorf("total %v, want 7: its last counters count", got)
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	f, now := fleet.New(start), at(10*time.Second)
	old := newProcess(t, f, wire.ServiceEdge, "e", 1)
	old.hb.Edge.Connections = 100
	old.beat(now)
	old.sendTelemetry(now, map[string]uint64{wire.CountConnections: 100})
	young := newProcess(t, f, wire.ServiceEdge, "e", 2)
	young.hb.Edge.Connections = 3
	young.beat(now)
	young.sendTelemetry(now, map[string]uint64{wire.CountConnections: 4})
	old.beat(now) // late
	old.sendTelemetry(now, map[string]uint64{wire.CountConnections: 101})

	s := stats(t, f, now)
	if len(s.Instances) != 1 || *s.Connections.Current != 3 || *s.Connections.Total != 105 {
		t.Errorf("%d instances, %d connections of %d; want 1, 3 of 105",
			len(s.Instances), *s.Connections.Current, *s.Connections.Total)
	}
	if closed := *s.Connections.TotalDisconnections; closed != 101 {
		t.Errorf("%d disconnections, want the 101 connections of the old process", closed)
	}
}

// After a restart with the clock set back the old start looks newer; it must
// not keep the living process out.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	f := fleet.New(start)
	newProcess(t, f, wire.ServiceEdge, "e", 9).beat(at(10 * time.Second))
	young := newProcess(t, f, wire.ServiceEdge, "e", 1)
	young.hb.Edge.Connections = 3
	young.beat(at(12 * time.Second))
	young.beat(at(14 * time.Second))
	s := stats(t, f, at(14*time.Second))
	if len(s.Instances) != 1 || s.Instances[0].Status != api.StatusOK || *s.Connections.Current != 3 {
		t.Errorf("instances %+v, %d connections", s.Instances, *s.Connections.Current)
	}
}

func TestLostHeartbeats(t *testing.T) {
	t.Parallel()
	f, now := fleet.New(start), at(10*time.Second)
	edge := newProcess(t, f, wire.ServiceEdge, "e", 1)
	edge.beat(now)
	edge.hb.Seq += 3
	edge.beat(now)
	if got := stats(t, f, now).Instances[0].LostHeartbeats; got != 3 {
		t.Errorf("lost %d, want 3", got)
	}
}

// A monitor that is disconnected from NATS drops no instance, and has a note about it.
func TestDisconnected(t *testing.T) {
	t.Parallel()
	f := fleet.New(start)
	all := cluster(t, f, at(10*time.Second))
	all[wire.ServiceEdge].hb.Edge.Connections = 5
	beatAll(all, at(11*time.Second))
	f.Disconnected(at(12 * time.Second))
	f.Disconnected(at(13 * time.Second))

	now := at(10 * time.Minute)
	h, s := f.Health(now), stats(t, f, now)
	if h.Status != api.Unhealthy || h.Complete || len(h.Services) != 4 || *s.Connections.Current != 5 {
		t.Errorf("disconnected: %s, complete %v, %d services, %d connections",
			h.Status, h.Complete, len(h.Services), *s.Connections.Current)
	}
	f.Connected(now)
	if h = f.Health(now); h.Status != api.Degraded || h.Complete {
		t.Errorf("reached: %s, complete %v; want degraded until it is known who is missing", h.Status, h.Complete)
	}
	if n := len(f.Health(at(11 * time.Minute)).Services); n != 4 {
		t.Errorf("a minute after: %d services listed, want 4", n)
	}
	if n := len(f.Health(at(11*time.Minute + time.Millisecond)).Services); n != 0 {
		t.Errorf("later: %d services listed, want none", n)
	}
}

// Messages are refused everywhere although every service is up.
func TestNothingIsStored(t *testing.T) {
	t.Parallel()
	for failing, want := range map[int]api.State{0: api.Healthy, 1: api.Degraded, subject.Shards: api.Unhealthy} {
		f, now := fleet.New(start), at(10*time.Second)
		all := cluster(t, f, now)
		room := all[wire.ServiceRoom]
		if room.hb.Room.Failing = failing; failing > 0 {
			room.hb.State, room.hb.Note = wire.StateDegraded, "LOG_0 is not written"
		}
		room.beat(now)
		if h := f.Health(now); h.Status != want {
			t.Errorf("%d shards fail: %s, want %s; notes %q", failing, h.Status, want, h.Notes)
		}
	}
}
