package fleet

import (
	"math"
	"time"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/monitor/internal/api"
)

// Stats returns the cluster's statistics at now, with the page of rooms after cursor
// (empty: the first page). It returns ErrCursor if cursor is invalid.
func (f *Fleet) Stats(now time.Time, cursor string) (api.Stats, error) {
	details, next, err := f.page(now, cursor)
	if err != nil {
		return api.Stats{}, err
	}
	v := f.view(now)
	f.noteMissingCounters(now, &v)
	load := f.load(now, v.list)
	s := api.Stats{
		Timestamp: event.At(now),
		Connections: api.Connections{
			Current:             load.connections,
			Total:               f.total(wire.ServiceEdge, wire.CountConnections),
			TotalDisconnections: f.total(wire.ServiceEdge, wire.CountDisconnections),
		},
		Rooms: api.Rooms{
			Active: load.rooms, TotalCreated: f.total(wire.ServiceRoom, wire.CountRoomsCreated),
			Details: make([]api.Room, 0, len(details)), NextCursor: next,
		},
		Messages:     api.Messages{TotalProcessed: f.total(wire.ServiceRoom, wire.CountMessages)},
		RateLimiting: api.RateLimiting{Violations: f.total(wire.ServiceEdge, wire.CountViolations)},
		Instances:    make([]api.Instance, 0, len(v.list)),
		Rates:        f.rates(now),
		Latency:      f.latency(now),
		Complete:     v.complete, Missing: v.missing, Notes: v.notes,
	}
	for _, d := range details {
		s.Rooms.Details = append(s.Rooms.Details, api.Room{
			RoomID: d.RoomID, UserCount: d.UserCount, TypingUsers: d.TypingUsers,
			CreatedAt: event.Time(d.CreatedMs), LastActivity: event.Time(d.LastActivityMs),
		})
	}
	for _, in := range v.list {
		p := in.current
		s.Instances = append(s.Instances, api.Instance{
			Service: in.describe(now), StartedAt: event.Time(p.beat.StartedMs),
			Note: p.beat.Note, LostHeartbeats: p.lost,
			Edge: p.beat.Edge, Room: p.beat.Room, Limit: p.beat.Limit,
		})
	}
	return s, nil
}

func (f *Fleet) rates(now time.Time) api.Rates {
	rate := func(service, name string) *float64 {
		perSecond, known := f.sums.Rate(now, service, name)
		if !known {
			return nil
		}
		perSecond = rounded(perSecond)
		return &perSecond
	}
	return api.Rates{
		Messages:       rate(wire.ServiceRoom, wire.CountMessages),
		Deliveries:     rate(wire.ServiceEdge, wire.CountDelivered),
		Connections:    rate(wire.ServiceEdge, wire.CountConnections),
		Disconnections: rate(wire.ServiceEdge, wire.CountDisconnections),
		Violations:     rate(wire.ServiceEdge, wire.CountViolations),
		Permits:        rate(wire.ServiceEdge, wire.CountPermits),
	}
}

func (f *Fleet) latency(now time.Time) map[string]api.Latency {
	result := make(map[string]api.Latency)
	for name, h := range f.sums.Latencies(now) {
		if h.Count == 0 {
			continue
		}
		ms := func(q float64) float64 { return rounded(h.Quantile(q).Seconds() * 1000) }
		result[name] = api.Latency{Count: h.Count, P50Ms: ms(0.5), P95Ms: ms(0.95), P99Ms: ms(0.99)}
	}
	return result
}

// rounded returns x rounded to a thousandth; more digits would be noise.
func rounded(x float64) float64 { return math.Round(x*1000) / 1000 }
