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

// Answer is the response to a client: over HTTP, or over NATS for requests to an edge.
type Answer struct {
	Status int    // HTTP status code
	Body   []byte // JSON; shared, must not be modified

	made time.Time
}

// freshFor is how long an answer is reused, so that a client that polls in a loop costs
// one rendering per freshFor. It is short compared with the heartbeat interval.
const freshFor = 100 * time.Millisecond

// Health returns the answer to /websocket/health: 503 if the cluster is unhealthy.
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

// Stats returns the answer to /websocket/stats?cursor=: 400 if the cursor is invalid.
func (c *Collector) Stats(cursor string) Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if cursor == "" && now.Sub(c.stats.made) <= freshFor {
		return c.stats
	}
	s, err := c.fleet.Stats(now, cursor)
	if err != nil {
		return ErrorAnswer(code.New(code.BadRequest, "cursor: %v", err))
	}
	answer := Answer{Status: http.StatusOK, Body: encode(s), made: now}
	if cursor == "" {
		c.stats = answer
	}
	return answer
}

// Snapshot returns health, statistics and counters of the same moment, for the metrics.
func (c *Collector) Snapshot() (api.Health, api.Stats, []aggregate.Counter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	s, _ := c.fleet.Stats(now, "") // an empty cursor is always valid
	return c.fleet.Health(now), s, c.fleet.Counters()
}

// ErrorAnswer returns an answer whose body is the error object of e. It sets e.Ref.
func ErrorAnswer(e *code.Error) Answer {
	e.Ref = rand.Text()[:10]
	return Answer{Status: e.Code.Status(), Body: event.AppendError(nil, e, event.At(time.Now()))}
}

// encode renders a body. Its types always encode, so an error is a defect.
func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		return ErrorAnswer(code.New(code.Internal, "internal error")).Body
	}
	return data
}
