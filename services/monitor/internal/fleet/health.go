package fleet

import (
	"time"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/services/monitor/internal/api"
)

// Health returns the cluster's health at now.
func (f *Fleet) Health(now time.Time) api.Health {
	v := f.view(now)
	load := f.load(now, v.list)
	h := api.Health{
		Status:    v.state(),
		Timestamp: event.At(now),
		WebSocket: api.WebSocket{
			ConnectedUsers: load.users, ActiveRooms: load.rooms, TotalTypingUsers: load.typing,
		},
		Services: make([]api.Service, 0, len(v.list)),
		Complete: v.complete,
		Notes:    v.notes,
	}
	if c := f.edgeConfig; c != nil {
		h.WebSocket.Namespace, h.WebSocket.CORSOrigin = &c.Namespace, &c.CORSOrigin
		h.Features = api.Features{
			DetailedLogging: &c.DetailedLogging, Metrics: &c.Metrics, Heartbeat: &c.Heartbeat,
		}
	}
	if c := f.limitConfig; c != nil {
		h.RateLimits = api.RateLimits{
			WindowMs: &c.WindowMs, MaxMessagesPerWindow: &c.Messages,
			MaxJoinsPerWindow: &c.Joins, MaxTypingEventsPerWindow: &c.Typing,
		}
	}
	for _, in := range v.list {
		h.Services = append(h.Services, in.describe(now))
	}
	return h
}

// state returns Unhealthy if there is no live edge or no live room instance, or if no message
// can be stored, once the monitor has listened for long enough to know.
func (v *view) state() api.State {
	switch alive := v.edges > 0 && v.rooms > 0 && v.stores; {
	case alive && v.healthy:
		return api.Healthy
	case alive, !v.warm:
		return api.Degraded
	}
	return api.Unhealthy
}

func (in *instance) describe(now time.Time) api.Service {
	return api.Service{
		Service: in.service, Instance: in.id.instance, Status: in.status(now),
		LastSeen: event.At(in.current.lastSeen), Version: in.current.beat.Version,
	}
}
