package collect

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/services/monitor/internal/aggregate"
	"github.com/confab-chat/confab/services/monitor/internal/api"
)

// Answer is what a client gets: over HTTP, or over NATS for the edge's port.
type Answer struct {
	Status int    // HTTP's
	Body   []byte // JSON, shared: not to be changed

	made time.Time
}

// freshFor is how long an answer is given again: whoever asks in a loop costs
// one answer in this time, not each time. Small against a heartbeat.
const freshFor = 100 * time.Millisecond

// Health is the answer of /websocket/health: 503 when the cluster is unhealthy.
func (c *Collector) Health() Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.health.made) > freshFor {
		h := c.fleet.Health(now)
		c.health = Answer{Status: http.StatusOK, Body: encode(h), made: now}
		if h.Status == api.Unhealthy {
			c.health.Status = http.StatusServiceUnavailable
		}
	}
	return c.health
}

// Stats is the answer of /websocket/stats?cursor=: 400 for a foreign cursor.
func (c *Collector) Stats(cursor string) Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if cursor == "" && now.Sub(c.stats.made) <= freshFor {
		return c.stats
	}
	s, err := c.fleet.Stats(now, cursor)
	if err != nil {
		return Refusal(code.New(code.BadRequest, "cursor: %v", err))
	}
	answer := Answer{Status: http.StatusOK, Body: encode(s), made: now}
	if cursor == "" {
		c.stats = answer
	}
	return answer
}

// Picture is everything at once, for the metrics.
func (c *Collector) Picture() (api.Health, api.Stats, []aggregate.Counter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	s, _ := c.fleet.Stats(now, "") // an empty cursor is a good one
	return c.fleet.Health(now), s, c.fleet.Counters()
}

// Refusal is the answer that carries an error object.
func Refusal(e *code.Error) Answer {
	e.Ref = rand.Text()[:10]
	return Answer{Status: e.Code.Status(), Body: event.AppendError(nil, e, event.At(time.Now()))}
}

// encode renders a body, whose types have no values that JSON cannot say.
func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		return Refusal(code.New(code.Internal, "internal error")).Body
	}
	return data
}
